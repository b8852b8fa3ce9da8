"""One heap of deadlines. None is cancelled: what fires checks whether it still means anything."""

import heapq
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple


class Alarm(IntEnum):
    OFFER = 0
    """An offer was not answered."""
    WAIT = 1
    """A start has waited as long as it may."""
    GRACE = 2
    """An orphaned session was not found again."""
    DURATION = 3
    """A session has lasted as long as it may."""
    END = 4
    """A session that was told to end has not."""
    CANCEL = 5
    """A job that was cancelled has not gone."""
    WAKE = 6
    """A pool's runner may take sessions again: permit due, bench over."""


class Timer(NamedTuple):
    at: float
    order: int
    alarm: Alarm
    key: object
    mark: object


class Timers:
    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Alarm, object, object]] = []
        """Timers as plain tuples, which are made and compared faster."""
        self._order = 0
        self.next_at: float | None = None
        """When the next is due."""

    def set(self, at: float, alarm: Alarm, key: object, mark: object = None) -> None:
        """Fire `alarm` for `key` at `at`; `mark` lets the receiver tell a stale one."""
        self._order += 1
        heapq.heappush(self._heap, (at, self._order, alarm, key, mark))
        self.next_at = self._heap[0][0]

    def due(self, now: float) -> list[Timer]:
        """Take out what is due, oldest first."""
        fired = []
        while self._heap and self._heap[0][0] <= now:
            fired.append(Timer(*heapq.heappop(self._heap)))
        self.next_at = self._heap[0][0] if self._heap else None
        return fired

    def keep(self, wanted: Callable[[object], bool]) -> None:
        """Drop the timers whose keys are not `wanted`."""
        self._heap = [entry for entry in self._heap if wanted(entry[3])]
        heapq.heapify(self._heap)
        self.next_at = self._heap[0][0] if self._heap else None

    def __len__(self) -> int:
        return len(self._heap)
