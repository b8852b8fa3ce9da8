"""Keeps a `Mirror` up to date: list, watch, and list again when the watch cannot be continued."""

import asyncio
import logging
import math
import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Generic, Protocol

from paddock_operator.backends.kubernetes.decoding import Listing
from paddock_operator.backends.kubernetes.errors import Gone, KubeError, ServerUnavailable
from paddock_operator.backends.kubernetes.mirror import Change, Key, Mirror, T
from paddock_operator.backends.kubernetes.retry import Backoff
from paddock_operator.backends.kubernetes.watching import WatchEvent

log = logging.getLogger("paddock.kubernetes")

SILENCE_S = 70.0
"""The server sends a bookmark about once a minute; a watch that is silent for longer is dead."""
WATCH_S = 300.0
SHORT_S = 1.0
"""A watch that ends sooner has failed, whatever it says."""
DOUBTS = 5
"""Watches that failed in a row, after which the version itself is doubted."""
_BREATH = 100


class Source(Protocol):
    """The part of the client that is needed."""

    def pages(self, path: str, *, labels: str = "") -> AsyncGenerator[Listing, None]: ...

    def watch(
        self, path: str, *, resource_version: str, labels: str = "", timeout_s: float = ...
    ) -> AsyncGenerator[WatchEvent, None]: ...


def _ignore(key: Key, old: Any, new: Any) -> None:
    pass


class Informer(Generic[T]):
    """One resource, of one namespace or all, as `path` says.

    `store` changes in `run` only, between awaits: who reads it without awaiting sees one state.
    `on_change(key, old, new)` is called after the store has changed, also for what the first
    listing finds (old is None) and what a later one misses (new is None). An object that took the
    name of another is two changes. Neither it nor `keep` may raise: that ends `run`.
    """

    def __init__(
        self,
        client: Source,
        path: str,
        labels: str,
        keep: Callable[[dict[str, Any]], T | None],
        *,
        on_change: Callable[[Key, T | None, T | None], None] = _ignore,
        silence_s: float = SILENCE_S,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._path = path
        self._labels = labels
        self._mirror = Mirror(keep)
        self._on_change = on_change
        self._silence_s = silence_s
        self._backoff = backoff or Backoff(first_s=0.2, most_s=5.0)
        self._clock = clock
        self._failures = 0
        self.synced = asyncio.Event()
        """Set once the first listing is in the store, for good."""
        self.problem = ""
        """Why the server is not heard at the moment; "" when it is."""
        self.last_activity = -math.inf
        """When the server was last heard: a listing, an event or a bookmark. Monotonic seconds."""

    @property
    def store(self) -> Mapping[Key, T]:
        return self._mirror.store

    @property
    def version(self) -> str:
        """The resourceVersion of what the store holds; "" before the first listing."""
        return self._mirror.version

    @property
    def lag_s(self) -> float:
        """The store may be so old, infinitely before the first listing. A minute is nothing."""
        return self._clock() - self.last_activity

    async def run(self) -> None:
        """Until cancelled. Raises only what `keep` or `on_change` raises, and NoAccess."""
        listed = False
        while True:
            try:
                if not listed:
                    await self._list()
                    listed = True
                await self._watch()
            except Gone as why:
                listed = False
                self._failed(why)
            except KubeError as why:
                self._failed(why)
                listed = listed and self._failures % DOUBTS != 0
            if self._failures:
                await asyncio.sleep(self._backoff.after(self._failures))

    async def _list(self) -> None:
        self._mirror.begin_listing()
        version = ""
        async with aclosing(self._client.pages(self._path, labels=self._labels)) as pages:
            async for page in pages:
                self._mirror.page(page.items)
                version = page.resource_version
        await asyncio.sleep(0)  # thousands of objects: not in one go with the last page
        self._tell(self._mirror.end_listing(version))
        self._heard()
        self.synced.set()
        log.debug("listed", extra={"path": self._path, "objects": len(self.store)})

    async def _watch(self) -> None:
        """One watch, until the server ends it in good order."""
        began = self._clock()
        timeout_s = WATCH_S * random.uniform(0.8, 1.0)
        watching = self._client.watch(
            self._path, resource_version=self._mirror.version, labels=self._labels,
            timeout_s=timeout_s,
        )  # fmt: skip
        async with aclosing(watching) as events:
            count = 0
            while (event := await self._next(events)) is not None:
                self._tell(self._mirror.event(event))
                self._heard()
                self._failures = 0
                count += 1
                if count % _BREATH == 0:
                    await asyncio.sleep(0)
        if self._clock() - began < SHORT_S:
            raise ServerUnavailable(f"a watch of {self._path} ended at once", reason="Ended")
        self._failures = 0

    async def _next(self, events: AsyncGenerator[WatchEvent, None]) -> WatchEvent | None:
        try:
            async with asyncio.timeout(self._silence_s):
                return await anext(events, None)
        except TimeoutError as why:
            silent = f"a watch of {self._path} was silent for {self._silence_s:g} s"
            raise ServerUnavailable(silent, reason="Silent") from why

    def _tell(self, changes: list[Change[T]]) -> None:
        for change in changes:
            self._on_change(*change)

    def _heard(self) -> None:
        self.last_activity = self._clock()
        self.problem = ""

    def _failed(self, why: KubeError) -> None:
        self._failures += 1
        if not self.problem:
            log.warning("watch_interrupted", extra={"path": self._path, "why": str(why)})
        self.problem = str(why)
