"""Which runner gets the next session, in O(log n).

`Packed` takes the runner with the fewest free slots, so that others empty and can be let go;
`Spread` takes the lowest load relative to capacity. Ties go to the oldest runner.
"""

import heapq
from collections.abc import Container
from enum import StrEnum


class Placement(StrEnum):
    PACKED = "Packed"
    SPREAD = "Spread"


class PlacementIndex:
    """The runners of one pool that can take a session now, best first.

    A lazy heap: a change pushes a new entry and the stale one is dropped when it surfaces.
    That costs a few microseconds at ten thousand runners, where a scan costs most of a millisecond.
    """

    def __init__(self, placement: Placement = Placement.PACKED) -> None:
        self.placement = placement
        self._heap: list[tuple[float, int, int, str]] = []
        self._current: dict[str, tuple[int, float, int]] = {}
        self._version = 0

    def __len__(self) -> int:
        return len(self._current)

    def put(self, runner: str, *, used: int, capacity: int, order: int) -> None:
        """The runner is available with `capacity - used` free slots (at least one)."""
        rank = capacity - used if self.placement is Placement.PACKED else used / capacity
        known = self._current.get(runner)
        if known is not None and known[1] == rank:
            return
        self._version += 1
        self._current[runner] = (self._version, rank, order)
        heapq.heappush(self._heap, (rank, order, self._version, runner))
        if len(self._heap) > 64 + 4 * len(self._current):
            self._rebuild()

    def discard(self, runner: str) -> None:
        """The runner can take nothing now."""
        self._current.pop(runner, None)

    def best(self, exclude: Container[str] = ()) -> str | None:
        """The runner to offer to; None when none is available outside `exclude`."""
        heap = self._heap
        skipped: list[tuple[float, int, int, str]] = []
        found = None
        while heap:
            entry = heap[0]
            known = self._current.get(entry[3])
            if known is None or known[0] != entry[2]:
                heapq.heappop(heap)
                continue
            if entry[3] in exclude:
                skipped.append(heapq.heappop(heap))
                continue
            found = entry[3]
            break
        for entry in skipped:
            heapq.heappush(heap, entry)
        return found

    def _rebuild(self) -> None:
        self._heap = [
            (rank, order, version, runner)
            for runner, (version, rank, order) in self._current.items()
        ]
        heapq.heapify(self._heap)
