"""The sessions of a pool that ended within the last hour, summed as they come and go."""

from collections import deque
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final, NamedTuple

HOUR_S: Final = 3600.0


class Totals(NamedTuple):
    """Of one hour."""

    completed: int
    failed: int
    mean_s: float
    """Length of all of them; 0 without any."""


@dataclass(slots=True)
class LastHour:
    """Times are monotonic seconds, and never earlier than those before them."""

    _ends: deque[tuple[float, bool, int]] = field(default_factory=deque)
    _failed: int = 0
    _length_ms: int = 0

    def add(self, now: float, *, failed: bool, length_ms: int) -> None:
        """A session ended."""
        self._forget_until(now - HOUR_S)
        self._ends.append((now, failed, length_ms))
        self._failed += failed
        self._length_ms += length_ms

    def totals(self, now: float) -> Totals:
        """Of the hour before `now`."""
        self._forget_until(now - HOUR_S)
        number = len(self._ends)
        mean_s = self._length_ms / number / 1000.0 if number else 0.0
        return Totals(number - self._failed, self._failed, mean_s)

    def since(self, at: float) -> int:
        """How many ended at `at` or later, which should not be long ago: each is counted."""
        return sum(1 for _ in takewhile(lambda end: end[0] >= at, reversed(self._ends)))

    def _forget_until(self, at: float) -> None:
        ends = self._ends
        while ends and ends[0][0] < at:
            _, failed, length_ms = ends.popleft()
            self._failed -= failed
            self._length_ms -= length_ms
