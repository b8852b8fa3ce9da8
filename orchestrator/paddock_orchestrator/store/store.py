"""The durable record: the one interface through which the orchestrator keeps and reads rows.

Writing what happens to sessions is hot: those methods return at once and tell by a call. All else
is cold and a coroutine. All of it is called on the loop's thread.
"""

from collections.abc import Callable, Sequence
from typing import Self, TypeVar

from sqlalchemy import Connection

from paddock_orchestrator.store import pruning, queries, statements
from paddock_orchestrator.store.errors import StoreTaken
from paddock_orchestrator.store.opening import open_sides
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
from paddock_orchestrator.store.sides import Reader, Writer

T = TypeVar("T")
OnCommit = Callable[[], None]
OnFailure = Callable[[Exception], None]


class Store:
    """Records by organization. Create it with `open`; it is usable until `close`.

    Every writing call may fail with `StoreUnavailable` (nothing was kept; retry), `StoreClosed` or
    `RecordRejected`; every reading one with the first two.
    """

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self.writer = writer
        self.reader = reader

    @classmethod
    async def open(
        cls, url: str, *, timeout_s: float = 5.0, wait_s: float = 60.0, max_queue: int = 16_384
    ) -> Self:
        """Create or upgrade the database at `url` and open it.

        `timeout_s`: how long the database may take for one thing before it counts as not there.
        `wait_s`: how long a PostgreSQL that is not there, or that another orchestrator works on, is
        waited for. Raises `StoreMisconfigured` or `StoreUnavailable`.
        """
        writer, reader = await open_sides(url, timeout_s, wait_s, max_queue)
        return cls(writer, reader)

    async def close(self) -> None:
        """Commit what is queued, resolve its futures, and let go. May be called again."""
        await self.writer.close()
        await self.reader.close()

    async def taken(self) -> StoreTaken:
        """Return when another process has taken the database over: this one must end."""
        return await self.writer.taken()

    @property
    def ok(self) -> bool:
        """Whether the last commit succeeded."""
        return self.writer.ok

    def health(self) -> StoreHealth:
        """Whether the last commit succeeded, and how busy the writer is."""
        return self.writer.health()

    # Hot: one of the two callbacks is called on the loop once the row is durable, or cannot be.
    # `soon`: nobody waits, so it may take 20 ms and goes in company, for less.

    def start_session(self, row: SessionRow, on_commit: OnCommit, on_failure: OnFailure) -> None:
        """Keep the row of a session that is being offered, in place of one with its id."""
        self.writer.keep(statements.started(row), on_commit, on_failure)

    def put_soon(
        self,
        row: SessionRow,
        events: Sequence[EventRow] = (),
        on_commit: OnCommit | None = None,
        on_failure: OnFailure | None = None,
    ) -> None:
        """Keep the session's whole row, in place of one with its id, and its events."""
        self.writer.keep(statements.put(row, events), on_commit, on_failure, lazily=True)

    def change_soon(
        self,
        change: SessionChange,
        events: Sequence[EventRow] = (),
        on_commit: OnCommit | None = None,
        on_failure: OnFailure | None = None,
    ) -> None:
        """Update the session's row, if it has one, and keep the events."""
        self.writer.keep(statements.changed(change, events), on_commit, on_failure, lazily=True)

    def append_soon(
        self,
        events: Sequence[EventRow],
        on_commit: OnCommit | None = None,
        on_failure: OnFailure | None = None,
    ) -> None:
        """Keep the events."""
        self.writer.keep(statements.appended(events), on_commit, on_failure, lazily=True)

    # Sessions and events.

    async def open_sessions(self) -> list[SessionRow]:
        """Sessions of every organization that are not torn down, oldest request first."""
        return await self._read(queries.open_sessions)

    async def session(self, org: str, session_id: str) -> SessionRow | None:
        """The organization's session of that id."""
        return await self._read(lambda c: queries.session(c, org, session_id))

    async def find_session(self, session_id: str) -> SessionRow | None:
        """The session of that id, whosever it is: for those who hold the session's own token."""
        return await self._read(lambda c: queries.find_session(c, session_id))

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
        return await self._read(
            lambda c: queries.list_sessions(c, org, agent, state, limit, before)
        )

    async def seen_keys(self) -> SeenKeys:
        """The idempotency keys in use, for asking without reading."""
        seen = SeenKeys()
        for used in await self._read(queries.idempotency_keys):
            seen.add(*used)
        return seen

    async def find_idempotent(self, org: str, agent: str, key: str) -> SessionRow | None:
        """The agent's session that was started with this idempotency key."""
        return await self._read(lambda c: queries.find_idempotent(c, org, agent, key))

    async def events_of(self, org: str, session_id: str) -> list[EventRow]:
        """The session's history, oldest first."""
        return await self._read(lambda c: queries.events_of(c, org, session_id))

    async def events_after(
        self, org: str, event_id: int, limit: int, *, agent: str | None = None
    ) -> list[EventRow]:
        """Up to `limit` of the organization's events with greater ids, oldest first."""
        return await self._read(lambda c: queries.events_after(c, org, event_id, limit, agent))

    async def last_event_id(self) -> int:
        """The greatest event id of all organizations, 0 for none."""
        return await self._read(queries.last_event_id)

    async def usage(
        self, org: str, *, agent: str | None = None, since_ms: int, until_ms: int
    ) -> list[Usage]:
        """What each agent's sessions used inside `[since_ms, until_ms)`, by agent.

        A phase that is not over counts up to `until_ms`, which is therefore not in the future.
        """
        return await self._read(lambda c: queries.usage(c, org, agent, since_ms, until_ms))

    async def _read(self, query: Callable[[Connection], T]) -> T:
        """The query's answer, with all that was kept before."""
        await self.writer.settled()
        return await self.reader.read(query)

    # Organizations, keys, settings.

    async def organizations(self) -> list[Organization]:
        """Every organization, by id."""
        return await self._read(queries.list_organizations)

    async def create_organization(self, organization: Organization) -> None:
        """Keep a new organization. Raises `AlreadyExists` if its id is taken."""
        await self.writer.run(statements.organization_added(organization))

    async def keys(self, org: str | None = None) -> list[Key]:
        """The keys of one organization or of all, revoked and expired ones too, oldest first."""
        return await self._read(lambda c: queries.list_keys(c, org))

    async def put_key(self, key: Key) -> None:
        """Keep the key, in place of one with its id. Raises `AlreadyExists` for a taken digest."""
        await self.writer.run(statements.key_put(key))

    async def revoke(self, org: str, key_id: str, at_ms: int) -> bool:
        """Revoke the organization's key; False if there is none or it was revoked before."""
        values = (at_ms, org, key_id)
        [count] = await self.writer.run([(statements.REVOKE_KEY, values)])
        return count > 0

    async def setting(self, name: str) -> bytes | None:
        """The setting's value."""
        return await self._read(lambda c: queries.setting(c, name))

    async def settings_under(self, prefix: str) -> dict[str, bytes]:
        """Settings whose names begin with `prefix`, by name."""
        return await self._read(lambda c: queries.settings_under(c, prefix))

    async def put_setting(self, name: str, value: bytes) -> None:
        """Keep the setting, in place of one with its name."""
        await self.writer.run(statements.setting_put(name, value))

    # Upkeep.

    async def prune(self, before_ms: int) -> Pruned:
        """Remove sessions torn down before `before_ms`, their events, and other older events."""
        return await pruning.prune(self.reader, self.writer, before_ms)

    async def expire_idempotency(self, before_ms: int) -> int:
        """Free the idempotency keys of sessions requested before `before_ms`."""
        return await pruning.expire_idempotency(self.writer, before_ms)
