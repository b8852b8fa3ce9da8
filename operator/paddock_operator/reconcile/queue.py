"""Keys whose turn it is: level-triggered, one at a time for each key, back-off for failures.

Invariants: a key is never handed out twice at once; what is added while it is worked on is handed
out again afterwards; adding a key that waits changes nothing but how soon it comes.
"""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_BACKOFF_S = 0.2
LONGEST_BACKOFF_S = 60.0


class KeyedQueue(Generic[K]):
    """Used on one loop. Its length is bounded by the number of keys."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready: deque[K] = deque()
        self._waiting: set[K] = set()
        """Keys in `_ready`."""
        self._working: set[K] = set()
        self._again: set[K] = set()
        """Keys that were added while they are worked on."""
        self._later: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}
        """When each key in `_later` comes; older entries of it are stale."""
        self._order = 0
        self._failures: dict[K, int] = {}
        self._since: dict[K, float] = {}
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, key: K) -> None:
        """Its turn comes as soon as a worker is free."""
        self._due.pop(key, None)
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._since[key] = self._loop.time()
            self._ready.append(key)
            self._news.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Its turn comes in so many seconds, or sooner if that was said before."""
        at = self._loop.time() + max(0.0, seconds)
        if key in self._waiting or self._due.get(key, float("inf")) <= at:
            return
        self._due[key] = at
        self._order += 1
        heapq.heappush(self._later, (at, self._order, key))
        self._news.set()

    def forget(self, key: K) -> None:
        """The key is gone: it comes no more, unless it is added again."""
        self._due.pop(key, None)
        self._failures.pop(key, None)
        self._again.discard(key)

    async def get(self) -> K:
        """The next key. Say `done` or `failed` when it was worked on."""
        while True:
            self._move_due()
            if self._ready:
                key = self._ready.popleft()
                self._waiting.discard(key)
                self._since.pop(key, None)
                self._working.add(key)
                return key
            self._news.clear()
            try:
                async with asyncio.timeout_at(self._later[0][0] if self._later else None):
                    await self._news.wait()
            except TimeoutError:
                pass

    def done(self, key: K) -> None:
        """It was worked on."""
        self._failures.pop(key, None)
        self._finish(key)

    def failed(self, key: K) -> float:
        """It was worked on in vain: it comes again; after how many seconds."""
        count = self._failures[key] = self._failures.get(key, 0) + 1
        delay_s = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** (count - 1))
        delay_s *= random.uniform(0.7, 1.3)
        again = key in self._again
        self._again.discard(key)
        self._finish(key)
        self.add_after(key, min(delay_s, FIRST_BACKOFF_S) if again and count == 1 else delay_s)
        return delay_s

    def oldest_s(self) -> float:
        """For how long the key that waits longest has been ready."""
        first = next(iter(self._ready), None)
        return 0.0 if first is None else self._loop.time() - self._since[first]

    def _finish(self, key: K) -> None:
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _move_due(self) -> None:
        now = self._loop.time()
        while self._later and self._later[0][0] <= now:
            at, _, key = heapq.heappop(self._later)
            if self._due.get(key) == at:
                del self._due[key]
                self.add(key)
