"""What a store asks of its database, whichever it is: one side writes, the other reads."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from paddock_orchestrator.store.errors import StoreTaken
from paddock_orchestrator.store.records import StoreHealth
from paddock_orchestrator.store.statements import Row

T = TypeVar("T")

LAZY_S = 0.02
"""How long what nobody waits for may wait for company."""
PROBE_S = 1.0
"""How often a database that failed is tried again."""


class Writer(Protocol):
    """The only one that writes. Called on the loop's thread."""

    def keep(
        self,
        rows: Sequence[Row],
        on_commit: Callable[[], None] | None = None,
        on_failure: Callable[[Exception], None] | None = None,
        *,
        lazily: bool = False,
    ) -> None:
        """Make `rows`, of hot statements, durable, in the order of the calls.

        `lazily`: nobody waits, so they may be held back for `LAZY_S`, and are not given up because
        the database fails. One of the two is called on the loop; `on_failure` at once if the queue
        is full or the writer is closed. Who reads finds the rows after `settled`.
        """

    def run(self, rows: Sequence[Row]) -> "asyncio.Future[list[int]]":
        """Run `rows` together, after all that was kept before.

        How many rows of the database each of them changed, once committed. Fails with
        `StoreUnavailable`, `StoreClosed` or `RecordRejected`.
        """

    async def settled(self) -> None:
        """Return once the database has all that was kept before, or cannot take it now."""

    @property
    def ok(self) -> bool:
        """Whether what is kept now would become durable, and reach the database."""

    def health(self) -> StoreHealth:
        """How the writer is doing."""

    async def taken(self) -> StoreTaken:
        """Return when another process has taken the database over: nothing more can be kept."""

    async def close(self) -> None:
        """Take no more, bring the database up to date if that can be, and let go of it."""


class Reader(Protocol):
    """Runs queries beside the writer."""

    async def read(self, query: Callable[[Connection], T]) -> T:
        """The query's answer, read from one snapshot. Raises `StoreUnavailable`, `StoreClosed`."""

    async def close(self) -> None:
        """Let go of the database."""
