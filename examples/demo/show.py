"""What is played, and what is counted while it plays."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from paddock.client.callers import Outcome, Script, Tally, play_all
from paddock.client.client import AsyncClient
from paddock.client.records import Agent
from promises import Verdict
from stage import NAME

RAMP_S, BURST_AT_S, KILL_AT_S, ROLL_AT_S, FADE_S = 20.0, 22.0, 27.0, 31.0, 55.0
BURST = 26
LATE, LATE_EVERY_S = 9, 0.5
"""Callers after the burst, who find the pool full: it is still so when the show looks next."""
SETTLE_S = 90.0
HOLD_S = (5.0, 12.0)
ANSWER_S = 60.0
"""Who is not answered waits: longer than the orchestrator waits for a runner that is away."""

Act = tuple[float, str, Callable[[], Awaitable[None]] | None]
"""When, seconds after the beginning; what people are told; what is done."""


class Hands(Protocol):
    """What shakes the pool."""

    def kill_runner(self, runner_id: str) -> None: ...

    def roll_out(self) -> None: ...


@dataclass
class Show:
    """One performance."""

    may_refuse_for: ClassVar[tuple[str, ...]] = ()
    """Reasons other than capacity for which this show makes starts be refused."""

    stage: Hands
    client: AsyncClient
    say: Callable[[str], None]
    tally: Tally = field(default_factory=Tally)
    pool: dict[str, Any] = field(default_factory=dict)
    """The pool as the orchestrator last showed it."""
    failures: list[Outcome] = field(default_factory=list)
    history: list[int] = field(default_factory=list)
    peak_demand: int = 0
    peak_runners: int = 0
    killed: str = ""
    on_killed: set[str] = field(default_factory=set)
    began: float = field(default_factory=time.monotonic)
    act: str = "warming up"
    first_runner_s: float = 60.0
    settle_s: float = SETTLE_S
    burst_hold_s: tuple[float, float] = HOLD_S
    fade_callers: int = 18
    fade_s: float = FADE_S
    _looked: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.began

    async def perform(self) -> None:
        """Ramp, burst, a killed runner, a roll-out, a fade, and back to the minimum."""
        async with self._watching():
            await self._until(lambda: self.pool.get("ready", 0) >= 1, self.first_runner_s)
            self.began = time.monotonic()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._callers())
                for act in self.acts():
                    group.create_task(self._at(*act))
            self._begin("settling: the pool goes back to its minimum")
            await self._until(self._settled, self.settle_s)

    def acts(self) -> list[Act]:
        return [
            (0.0, "ramp: more and more callers", None),
            (BURST_AT_S, f"burst: {BURST} callers at once", None),
            (KILL_AT_S, "kill -9 of the busiest runner", self._kill),
            (ROLL_AT_S, "roll-out: a new revision", self._roll),
        ]

    async def _callers(self) -> None:
        dice = random.Random(7)
        arrivals = [((n + 0.5) ** 0.5 * 5.0, HOLD_S) for n in range(16)]
        burst = [BURST_AT_S + n * 0.01 for n in range(BURST)]
        burst += [BURST_AT_S + (n + 1) * LATE_EVERY_S for n in range(LATE)]
        arrivals += [(at, self.burst_hold_s) for at in burst]
        fade = [ROLL_AT_S + 1.0 + n * 0.7 for n in range(self.fade_callers)]
        arrivals += [(at, HOLD_S) for at in fade if at < self.fade_s - 8.0]
        async with asyncio.TaskGroup() as group:
            for at, between in sorted(arrivals):
                hold_s = dice.uniform(*between)
                lines = ("Hello!", "What can you do?", "Good bye.")
                script = Script(lines, hold_s, answer_timeout_s=ANSWER_S)
                group.create_task(
                    play_all(
                        self.client, NAME, [at], script, self.tally, on_outcome=self._note_failure
                    )
                )  # fmt: skip

    def _note_failure(self, outcome: Outcome) -> None:
        if outcome.kind == "failed":
            self.failures.append(outcome)

    async def _at(self, at: float, act: str, do: Callable[[], Awaitable[None]] | None) -> None:
        await asyncio.sleep(max(0.0, self.began + at - time.monotonic()))
        self._begin(act)
        if do is not None:
            await do()

    def _begin(self, act: str) -> None:
        self.act = act
        self.say(act)

    async def _kill(self) -> None:
        runners = self.pool.get("runners", [])
        busiest = max(
            (r for r in runners if r["stage"] == "serving"), key=lambda r: r["sessions"] or 0
        )
        self.killed = busiest["runner"]
        await asyncio.to_thread(self.stage.kill_runner, self.killed)

    async def _roll(self) -> None:
        self.stage.roll_out()

    def _settled(self) -> bool:
        runners = self.pool.get("runners", [])
        return (
            len(runners) == 1
            and runners[0]["stage"] == "serving"
            and runners[0]["revision"] == self.pool.get("revision")
            and self.tally.in_flight == 0
        )

    async def _until(self, done: Callable[[], bool], timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not done():
                    self._looked.clear()
                    await self._looked.wait()

    @contextlib.asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()

    async def _watch(self) -> None:
        while True:
            try:
                await self.look()
            except Exception as why:  # what comes to pass meanwhile is seen the next time
                self.say(f"not seen: {why}")
            else:
                self._looked.set()
            await asyncio.sleep(0.25)

    async def look(self) -> None:
        """See how the pool is now."""
        for agent in await self.client.agents.list():
            if agent.agent == NAME:
                self.seen(agent, agent.pool)

    def seen(self, agent: Agent, pool: Mapping[str, Any]) -> None:
        """Keep what was seen, and the highest of it."""
        self.pool = {**pool, "view": agent}
        self.history.append(agent.in_flight)
        self.peak_demand = max(self.peak_demand, agent.in_flight + agent.queued)
        alive = [r for r in pool.get("runners", []) if r["stage"] != "gone"]
        self.peak_runners = max(self.peak_runners, len(alive))

    def more_verdicts(self) -> list[Verdict]:
        """Promises that only this show can test."""
        return []
