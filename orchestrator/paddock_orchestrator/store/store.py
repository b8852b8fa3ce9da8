"""The durable record: the one interface through which the orchestrator keeps and reads rows.

Writing what happens to sessions is hot: those methods return at once a future that resolves after
the commit. Everything else is cold and a coroutine. All of it is called on the loop's thread.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from paddock_orchestrator.store import pruning, queries, statements
from paddock_orchestrator.store.checkpointer import Checkpointer
from paddock_orchestrator.store.location import database_path, prepare_file
from paddock_orchestrator.store.migrations import migrate
from paddock_orchestrator.store.reader import Reader
from paddock_orchestrator.store.records import (
    EventRow,
    Key,
    Organization,
    Pruned,
    SessionChange,
    SessionRow,
    StoreHealth,
    Usage,
)
from paddock_orchestrator.store.seen import SeenKeys
from paddock_orchestrator.store.writer import Synchronous, Writer

OnCommit = Callable[[], None]
OnFailure = Callable[[Exception], None]


class Store:
    """Records by organization. Create it with `open`; it is usable until `close`.

    Every writing call may fail with `StoreUnavailable` (nothing was kept; retry), `StoreClosed` or
    `RecordRejected`; every reading one with the first two.
    """

    def __init__(
        self, path: Path, reader: Reader, writer: Writer, checkpointer: Checkpointer
    ) -> None:
        self.path = path
        self.checkpointer = checkpointer
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        busy_timeout_s: float = 5.0,
        max_queue: int = 16_384,
        max_batch: int = 512,
        reader_threads: int = 2,
        synchronous: Synchronous = "NORMAL",
    ) -> Self:
        """Create or upgrade the database at `url` and open it.

        With `synchronous` NORMAL a commit survives the death of the process; with FULL, which is
        slower, also that of the machine. Raises `StoreMisconfigured` or `StoreUnavailable`.
        """
        path = database_path(url)

        def prepare() -> None:
            prepare_file(path)
            migrate(url, busy_timeout_s=busy_timeout_s)

        await asyncio.to_thread(prepare)
        writer = Writer(
            path,
            busy_timeout_s=busy_timeout_s,
            max_queue=max_queue,
            max_batch=max_batch,
            synchronous=synchronous,
            apart=statements.ADD_EVENT,
        )
        reader = Reader(path, busy_timeout_s=busy_timeout_s, threads=reader_threads)
        store = cls(path, reader, writer, Checkpointer(path))
        try:
            await writer.submit(())
        except BaseException:
            await store.close()
            raise
        return store

    async def close(self) -> None:
        """Commit what is queued, resolve its futures, and close the file. May be called again."""
        self.checkpointer.stop()
        self.writer.stop()
        await asyncio.to_thread(self.checkpointer.join)
        await asyncio.to_thread(self.writer.join)
        await self.reader.close()

    @property
    def ok(self) -> bool:
        """Whether the last commit succeeded."""
        return self.writer.ok

    def health(self) -> StoreHealth:
        """Whether the last commit succeeded, and how busy the writer is."""
        return self.writer.health()

    # Hot: at once, resolved after the commit. `on_commit` runs on the loop right before that, also
    # if the future was cancelled, and never if the commit failed.

    def record_started(
        self,
        row: SessionRow,
        events: Sequence[EventRow] = (),
        *,
        on_commit: OnCommit | None = None,
    ) -> asyncio.Future[None]:
        """Keep the session's whole row, in place of one with its id, and its events.

        Fails with `DuplicateKey` if another session of the agent has its idempotency key.
        """
        return self.writer.submit(statements.started(row, events), on_commit)

    def tell_started(self, row: SessionRow, *, on_commit: OnCommit, on_failure: OnFailure) -> None:
        """As `record_started`, told by a call: one of the two is called in the end.

        A future and the wake-up of who awaits it cost a start more than a call does.
        """
        self.writer.submit_soon(statements.started(row, ()), on_commit, on_failure)

    def record_changed(
        self,
        change: SessionChange,
        events: Sequence[EventRow] = (),
        *,
        on_commit: OnCommit | None = None,
    ) -> asyncio.Future[None]:
        """Update the session's row, if it has one, and keep the events."""
        return self.writer.submit(statements.changed(change, events), on_commit)

    def append_events(
        self, events: Sequence[EventRow], *, on_commit: OnCommit | None = None
    ) -> asyncio.Future[None]:
        """Keep the events: all of them or none."""
        return self.writer.submit(statements.appended(events), on_commit)

    # The same for what nobody waits for: a few milliseconds later, in company, for less.

    def put_soon(
        self,
        row: SessionRow,
        events: Sequence[EventRow] = (),
        *,
        on_commit: OnCommit | None = None,
        on_failure: OnFailure | None = None,
    ) -> None:
        """As `record_started`; one of the two is called in the end."""
        self.writer.submit_lazily(statements.started(row, events), on_commit, on_failure)

    def change_soon(
        self,
        change: SessionChange,
        events: Sequence[EventRow] = (),
        *,
        on_commit: OnCommit | None = None,
        on_failure: OnFailure | None = None,
    ) -> None:
        """As `record_changed`; one of the two is called in the end."""
        self.writer.submit_lazily(statements.changed(change, events), on_commit, on_failure)

    def append_soon(
        self,
        events: Sequence[EventRow],
        *,
        on_commit: OnCommit | None = None,
        on_failure: OnFailure | None = None,
    ) -> None:
        """As `append_events`; one of the two is called in the end."""
        self.writer.submit_lazily(statements.appended(events), on_commit, on_failure)

    # Sessions and events.

    async def open_sessions(self) -> list[SessionRow]:
        """Sessions of every organization that are not torn down, oldest request first."""
        return await self.reader.read(queries.open_sessions)

    async def session(self, org: str, session_id: str) -> SessionRow | None:
        """The organization's session of that id."""
        return await self.reader.read(lambda c: queries.session(c, org, session_id))

    async def find_session(self, session_id: str) -> SessionRow | None:
        """The session of that id, whosever it is: for those who hold the session's own token."""
        return await self.reader.read(lambda c: queries.find_session(c, session_id))

    async def list_sessions(
        self,
        org: str,
        *,
        agent: str | None = None,
        state: str | None = None,
        limit: int = 100,
        before: queries.Cursor | None = None,
    ) -> list[SessionRow]:
        """A page of sessions, newest request first; `state` is "open", "ended" or a state's name.

        The next page is `before` the last row's `(requested_ms, session_id)`: no session that was
        there at the first page is missed or seen twice.
        """
        return await self.reader.read(
            lambda c: queries.list_sessions(c, org, agent, state, limit, before)
        )

    async def seen_keys(self) -> SeenKeys:
        """The idempotency keys in use, for asking without reading."""
        seen = SeenKeys()
        for used in await self.reader.read(queries.idempotency_keys):
            seen.add(*used)
        return seen

    async def find_idempotent(self, org: str, agent: str, key: str) -> SessionRow | None:
        """The agent's session that was started with this idempotency key."""
        return await self.reader.read(lambda c: queries.find_idempotent(c, org, agent, key))

    async def events_of(self, org: str, session_id: str) -> list[EventRow]:
        """The session's history, oldest first."""
        return await self.reader.read(lambda c: queries.events_of(c, org, session_id))

    async def events_after(
        self, org: str, event_id: int, limit: int, *, agent: str | None = None
    ) -> list[EventRow]:
        """Up to `limit` of the organization's events with greater ids, oldest first."""
        return await self.reader.read(
            lambda c: queries.events_after(c, org, event_id, limit, agent)
        )

    async def last_event_id(self) -> int:
        """The greatest event id of all organizations, 0 for none."""
        return await self.reader.read(queries.last_event_id)

    async def usage(
        self, org: str, *, agent: str | None = None, since_ms: int, until_ms: int
    ) -> list[Usage]:
        """What each agent's sessions used inside `[since_ms, until_ms)`, by agent.

        A phase that is not over counts up to `until_ms`, which is therefore not in the future.
        """
        return await self.reader.read(lambda c: queries.usage(c, org, agent, since_ms, until_ms))

    # Organizations, keys, settings.

    async def organizations(self) -> list[Organization]:
        """Every organization, by id."""
        return await self.reader.read(queries.list_organizations)

    async def create_organization(self, organization: Organization) -> None:
        """Keep a new organization. Raises `AlreadyExists` if its id is taken."""
        await self.writer.submit(statements.organization_added(organization))

    async def keys(self, org: str | None = None) -> list[Key]:
        """The keys of one organization or of all, revoked and expired ones too, oldest first."""
        return await self.reader.read(lambda c: queries.list_keys(c, org))

    async def put_key(self, key: Key) -> None:
        """Keep the key, in place of one with its id. Raises `AlreadyExists` for a taken digest."""
        await self.writer.submit(statements.key_put(key))

    async def revoke(self, org: str, key_id: str, at_ms: int) -> bool:
        """Revoke the organization's key; False if there is none or it was revoked before."""
        values = (at_ms, org, key_id)
        count: int = await self.writer.run(
            lambda c: c.execute(statements.REVOKE_KEY, values).rowcount
        )
        return count > 0

    async def setting(self, name: str) -> bytes | None:
        """The setting's value."""
        return await self.reader.read(lambda c: queries.setting(c, name))

    async def settings_under(self, prefix: str) -> dict[str, bytes]:
        """Settings whose names begin with `prefix`, by name."""
        return await self.reader.read(lambda c: queries.settings_under(c, prefix))

    async def put_setting(self, name: str, value: bytes) -> None:
        """Keep the setting, in place of one with its name."""
        await self.writer.submit(statements.setting_put(name, value))

    # Upkeep.

    async def prune(self, before_ms: int) -> Pruned:
        """Remove sessions torn down before `before_ms`, their events, and other older events."""
        return await pruning.prune(self.reader, self.writer, before_ms)

    async def expire_idempotency(self, before_ms: int) -> int:
        """Free the idempotency keys of sessions requested before `before_ms`."""
        return await pruning.expire_idempotency(self.writer, before_ms)

    async def backup(self, path: Path) -> None:
        """Copy one consistent state to `path` while the store goes on working."""
        await self.reader.backup(path)
