"""When a status is written: often enough to be true, seldom enough for an API server. Sans-I/O.

Structure (sizes, conditions, revisions, drains) is written at once; how the sessions and sentences
go on, at most every `COUNTERS_EVERY_S` for each object; and all objects together, at most
`WRITES_PER_S`, structure first. A pool in which nothing happens is never written.
"""

import re
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

COUNTERS_EVERY_S: Final = 10.0
WRITES_PER_S: Final = 20.0
BURST: Final = 20.0
PATIENCE_S: Final = 10.0
"""Who does not come back so long after the promised time loses its place in the line."""
TOLERANCE: Final = 0.02
"""A counter that is so close to what is written is not worth a write."""

_ROUNDING: Final = 1e-6
"""Of tokens: who comes back exactly when it was told to must not be told to come back at once."""
_NEWS_OF_NOTHING: Final = frozenset({"statsTime"})
_COUNTERS: Final = re.compile(
    r"idle|sessions\.\w+|scaling\.recommendedWarmSessions|drains\.[^/]+/sessions"
)
_SENTENCES: Final = re.compile(r"scaling\.reason|conditions\.\w+/message")
_EXACT: Final = re.compile(r"conditions\.(Degraded|TemplateAccepted|OrchestratorReachable)/message")
"""Messages in which a number may be the news: an exit code, an answer's status."""
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")


class Change(IntEnum):
    """How much differs; structure goes before counters."""

    STRUCTURE = 0
    COUNTERS = 1
    NONE = 2


@dataclass(frozen=True, slots=True)
class Write:
    """Write it now; it counts as written."""

    status: Mapping[str, object]
    change: Change


@dataclass(frozen=True, slots=True)
class Later:
    """Ask again at `at`, with what is true by then."""

    at: float


@dataclass(frozen=True, slots=True)
class Nothing:
    """What is written will do."""


Due = Write | Later | Nothing


class StatusPolicy:
    """One for a process, over the statuses of all objects.

    Invariants: `_line` is sorted, and holds the keys of `_places`, each once: those who were told
    `Later` for want of a token. Nobody there waits for more than its turn.
    """

    def __init__(self, *, writes_per_s: float = WRITES_PER_S, burst: float = BURST) -> None:
        self._rate, self._burst = writes_per_s, burst
        self._tokens, self._filled_at = burst, float("-inf")
        self._written_at: dict[str, float] = {}
        self._line: list[tuple[Change, float, str]] = []
        self._places: dict[str, tuple[Change, float, str]] = {}
        self._promised: dict[str, float] = {}

    def due(
        self, key: str, old: Mapping[str, object], new: Mapping[str, object], now: float
    ) -> Due:
        """Whether `new` is to be written over `old`, what the caller knows to be written.

        `now` is monotonic, in seconds. Who is told `Later` and does not come back is not written.
        """
        change = change_of(old, new)
        if change is Change.NONE:
            self._leave(key)
            return Nothing()
        if change is Change.COUNTERS:
            at = self._written_at.get(key, float("-inf")) + COUNTERS_EVERY_S
            if now < at:
                self._leave(key)
                return Later(at)
        return self._in_turn(key, new, change, now)

    def forget(self, key: str) -> None:
        """The object is gone."""
        self._leave(key)
        self._written_at.pop(key, None)

    def _in_turn(
        self, key: str, new: Mapping[str, object], change: Change, now: float
    ) -> Write | Later:
        elapsed_s = max(0.0, now - self._filled_at)
        self._tokens = min(self._burst, self._tokens + elapsed_s * self._rate)
        self._filled_at = max(self._filled_at, now)
        while self._line and self._promised[self._line[0][2]] + PATIENCE_S < now:
            self._leave(self._line[0][2])
        place = self._places.get(key)
        place = (change, now if place is None else place[1], key)
        self._leave(key)
        ahead = bisect_left(self._line, place)
        if ahead + 1 <= self._tokens + _ROUNDING:
            self._tokens -= 1.0
            self._written_at[key] = now
            return Write(new, change)
        insort(self._line, place)
        self._places[key] = place
        self._promised[key] = now + (ahead + 1 - self._tokens) / self._rate
        return Later(self._promised[key])

    def _leave(self, key: str) -> None:
        place = self._places.pop(key, None)
        if place is not None:
            del self._line[bisect_left(self._line, place)]
            del self._promised[key]


def change_of(old: Mapping[str, object], new: Mapping[str, object]) -> Change:
    """What kind of difference there is, if any that shows."""
    if old == new:
        return Change.NONE
    before, after = dict(_flat(old)), dict(_flat(new))
    found = Change.NONE
    for path in before.keys() | after.keys():
        one, other = before.get(path), after.get(path)
        if one != other and path not in _NEWS_OF_NOTHING:
            kind = _kind(path, one, other)
            if kind is Change.STRUCTURE:
                return kind
            found = min(found, kind)
    return found


def _kind(path: str, one: object, other: object) -> Change:
    if _SENTENCES.fullmatch(path):
        same = not _EXACT.fullmatch(path) and _masked(one) == _masked(other)
        return Change.NONE if same else Change.COUNTERS
    if not _COUNTERS.fullmatch(path):
        return Change.STRUCTURE
    if isinstance(one, int) and isinstance(other, int):
        return Change.NONE if abs(one - other) <= TOLERANCE * max(one, other) else Change.COUNTERS
    return Change.COUNTERS


def _masked(sentence: object) -> str:
    return _NUMBER.sub("#", str(sentence))


def _flat(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Each leaf with its path; what is in a list, by its type or pod rather than its place."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _flat(each, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            named = each if isinstance(each, Mapping) else {}
            label = named.get("type", named.get("pod", number))
            for name, leaf in named.items():
                yield f"{path}.{label}/{name}", leaf
            if not named:
                yield f"{path}.{label}/", each
    else:
        yield path, value
