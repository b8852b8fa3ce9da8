"""Callers that are played: real starts, real text channels, and an account of how each went."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from paddock.client.client import AsyncClient
from paddock.client.text import AgentSay, AgentTextDelta, AgentTextEnd, Ending, TextChannel
from paddock.errors import ApiError, PaddockError, SessionEnded, Unreachable

AT_ONCE_S = 0.5
"""A start answered within this did not make its caller wait."""
HANGUP_TIMEOUT_S = 20.0
"""Longer than the orchestrator waits for a runner before it ends a call without it: 15 s."""
_OURS = frozenset({"drain_timeout", "terminated", "start_timeout", "cancelled"})
_FINE = frozenset({"completed", "transferred", "no_response", "max_duration"})


@dataclass(frozen=True, slots=True)
class Script:
    """What a caller does: says each line, waits for its answer, stays `hold_s`, hangs up."""

    lines: tuple[str, ...] = ("Hello!", "What can you do?", "Thank you, good bye.")
    hold_s: float = 0.0
    """How long the call lasts at least; the lines are spread over it, the last at its end."""
    answer_timeout_s: float = 15.0
    data: Any = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one call went."""

    kind: str
    """completed | refused | cut | lost | failed"""
    reason: str = ""
    """The refusal's or the end's reason, or what failed."""
    status: int = 0
    """HTTP status of a refusal."""
    session_id: str = ""
    start_s: float | None = None
    """From asking for the session to having it."""
    first_word_ms: float | None = None
    """From asking for the session to the agent's first word."""
    answers_ms: tuple[float, ...] = ()
    """From the end of each line to the first word after it."""


@dataclass(slots=True)
class _Heard:
    """What a caller has heard so far."""

    first_at: float | None = None
    word: asyncio.Event = field(default_factory=asyncio.Event)
    turn: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self, channel: TextChannel) -> None:
        try:
            async for event in channel:
                if isinstance(event, AgentSay | AgentTextDelta):
                    self.first_at = self.first_at or time.monotonic()
                    self.word.set()
                if isinstance(event, AgentSay | AgentTextEnd):
                    self.turn.set()
        finally:
            self.word.set()
            self.turn.set()


async def play(
    client: AsyncClient,
    agent: str,
    script: Script,
    *,
    on_start: Callable[[], None] = lambda: None,
) -> Outcome:
    """Play one caller from start to hang-up. Raises nothing but cancellation."""
    began = time.monotonic()
    try:
        started = await client.start(agent, script.data)
    except ApiError as error:
        refused = error.status in (429, 503, 504) and not isinstance(error, Unreachable)
        kind = "refused" if refused else "failed"
        return Outcome(kind, error.reason or str(error), error.status)
    except PaddockError as error:
        return Outcome("failed", str(error))
    start_s = time.monotonic() - began
    on_start()
    heard, answers = _Heard(), list[float]()
    try:
        async with TextChannel.connect(started.text_url, started.token) as channel:
            call = await _converse(channel, script, heard, answers, began)
        kind, reason = classify(call.ending, hung_up=call.hung_up, answered=call.answered)
    except* PaddockError as group:
        kind, reason = "failed", type(group.exceptions[0]).__name__
    first = None if heard.first_at is None else (heard.first_at - began) * 1000
    if kind == "completed" and first is None:
        kind, reason = "failed", "the agent said nothing"
    return Outcome(kind, reason, 0, started.session_id, start_s, first, tuple(answers))


@dataclass(frozen=True, slots=True)
class _Call:
    """How a conversation ended."""

    ending: Ending | None
    hung_up: bool
    """The caller did, before any ending."""
    answered: bool
    """The last line was, within the script's time, or the call ended instead."""


async def _converse(
    channel: TextChannel, script: Script, heard: _Heard, answers: list[float], began: float
) -> _Call:
    answered = True
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(heard.listen(channel))
        with contextlib.suppress(SessionEnded):
            answered = await _say_all(channel, script, heard, answers)
        left = script.hold_s - (time.monotonic() - began)
        if left > 0 and channel.is_live():
            await asyncio.wait((listening,), timeout=left)
        over_before = channel.ended
        await channel.hangup()
        await asyncio.wait((listening,), timeout=HANGUP_TIMEOUT_S)
        listening.cancel()
    return _Call(over_before or channel.ended, over_before is None, answered)


async def _say_all(
    channel: TextChannel, script: Script, heard: _Heard, answers: list[float]
) -> bool:
    """Whether the last line was answered: a runner that dies in silence shows in nothing else."""
    answered = True
    pause = script.hold_s / max(1, len(script.lines) - 1)
    for number, line in enumerate(script.lines, 1):
        if not channel.is_live():
            break
        heard.word.clear()
        heard.turn.clear()
        said = time.monotonic()
        await channel.say(line)
        answered = await _within(heard.word, script.answer_timeout_s)
        if answered and channel.is_live():
            answers.append((time.monotonic() - said) * 1000)
        await _within(heard.turn, script.answer_timeout_s)
        # The end of the call sets the event too: it is not waited out.
        while (
            number < len(script.lines)
            and channel.is_live()
            and (left := said + pause - time.monotonic()) > 0
        ):
            heard.turn.clear()
            await _within(heard.turn, left)
    return answered


async def _within(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True


def classify(ending: Ending | None, *, hung_up: bool, answered: bool) -> tuple[str, str]:
    """(kind, reason) of a call that had a session.

    A caller who hung up was cut by nobody, but has no good call behind who was not `answered`.
    """
    if ending is None:
        return "failed", "no end was told"
    if ending.reason == "runner_lost":
        return "lost", ending.detail or ending.reason
    if hung_up and not answered:
        return "failed", "the last line was not answered"
    if hung_up or ending.reason in _FINE:
        return "completed", ending.reason
    if ending.reason in _OURS:
        return "cut", ending.reason
    return "failed", ending.reason


@dataclass(slots=True)
class Tally:
    """The account of many calls. Counts only grow, `in_flight` apart."""

    offered: int = 0
    in_flight: int = 0
    started: int = 0
    at_once: int = 0
    """Started within 0.5 s."""
    waited: int = 0
    completed: int = 0
    refused: int = 0
    refused_429: int = 0
    cut: int = 0
    lost: int = 0
    failed: int = 0
    reasons: dict[str, Counter[str]] = field(default_factory=dict)
    """By kind: refused, cut, lost and failed."""
    first_word_ms: list[float] = field(default_factory=list)
    answer_ms: list[float] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count a call that is over."""
        setattr(self, outcome.kind, getattr(self, outcome.kind) + 1)
        if outcome.kind != "completed":
            self.reasons.setdefault(outcome.kind, Counter())[outcome.reason] += 1
        self.refused_429 += outcome.status == 429
        if outcome.start_s is not None:
            self.started += 1
            self.at_once += outcome.start_s <= AT_ONCE_S
            self.waited += outcome.start_s > AT_ONCE_S
        if outcome.first_word_ms is not None:
            self.first_word_ms.append(outcome.first_word_ms)
        self.answer_ms.extend(outcome.answers_ms)

    def summary(self) -> dict[str, Any]:
        """Everything as plain values, with percentiles in milliseconds."""
        return {
            "offered": self.offered,
            "started": self.started,
            "answered_at_once": self.at_once,
            "waited": self.waited,
            "completed": self.completed,
            "refused": self.refused,
            "refused_with_429": self.refused_429,
            "refused_for": dict(self.reasons.get("refused", {})),
            "cut": self.cut,
            "cut_for": dict(self.reasons.get("cut", {})),
            "lost": self.lost,
            "failed": self.failed,
            "failed_for": dict(self.reasons.get("failed", {})),
            "first_word_ms": percentiles(self.first_word_ms),
            "answer_ms": percentiles(self.answer_ms),
        }


def percentiles(values: list[float]) -> dict[str, float]:
    """p50, p95 and p99 by the nearest rank; empty without values."""
    if not values:
        return {}
    ranked = sorted(values)
    top = len(ranked) - 1
    return {f"p{p}": round(ranked[round(top * p / 100)], 1) for p in (50, 95, 99)}


async def play_all(
    client: AsyncClient,
    agent: str,
    arrivals: Iterable[float],
    script: Script,
    tally: Tally,
    *,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
) -> None:
    """Play a caller at each of `arrivals`, seconds from now in order, whatever the others do.

    Returns when the last has hung up. Cancelling it hangs up all of them.
    """
    began = time.monotonic()

    async def one() -> None:
        tally.in_flight += 1
        try:
            outcome = await play(client, agent, script)
        finally:
            tally.in_flight -= 1
        tally.add(outcome)
        on_outcome(outcome)

    async with asyncio.TaskGroup() as group:
        for at in arrivals:
            await asyncio.sleep(max(0.0, began + at - time.monotonic()))
            tally.offered += 1
            group.create_task(one())
