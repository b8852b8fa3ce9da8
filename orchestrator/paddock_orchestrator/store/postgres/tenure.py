"""That one orchestrator works on the database, and which.

Its writing session holds an advisory lock, which goes with the session: a process that was killed
leaves nothing behind, and one whose machine vanished is given up by the server's keepalives, within
25 s. A lock that was lost with a connection is taken again by the next connection. That no other
had it in between, the owner's token in the settings tells: the state in our memory is then stale.
"""

import asyncio
import logging
import secrets
import socket
from typing import NamedTuple

from paddock_orchestrator.store.errors import StoreTaken
from paddock_orchestrator.store.postgres.address import Address
from paddock_orchestrator.store.postgres.arrays import register_arrays
from paddock_orchestrator.store.postgres.connecting import Connection, answered_within, connect
from paddock_orchestrator.store.statements import PUT_SETTING

_OWNER = "store.owner"
_LOCK = 0x7061_6464
_TRY_S = 0.05

_TAKE = "SELECT pg_try_advisory_lock(%s, hashtext(coalesce(current_schema(), '')))"
_HOLDER = """
    SELECT l.pid, coalesce(a.application_name, ''), coalesce(host(a.client_addr), 'a local socket'),
        coalesce(to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), '?')
    FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.classid::bigint = %s
        AND l.objid::bigint = (hashtext(coalesce(current_schema(), ''))::bigint & 4294967295)
"""

_log = logging.getLogger(__name__)


class _Holder(NamedTuple):
    pid: int
    name: str
    address: str
    since: str


class Tenure:
    """The writing session of this process. Invariant: `_connection` holds the lock."""

    def __init__(self, address: Address, *, timeout_s: float) -> None:
        self.address = address
        self._token = secrets.token_bytes(16)
        self._name = f"paddock-orchestrator {socket.gethostname()[:30]} {self._token.hex()[:8]}"
        self._timeout_s = timeout_s
        self._connection: Connection | None = None
        self._owning = False

    @property
    def connected(self) -> bool:
        return self._connection is not None and not self._connection.closed

    async def connection(self) -> Connection:
        """The session, made anew if it was lost.

        Raises `StoreTaken` if another process works on the database, or has since; else what the
        driver raises, and `TimeoutError`.
        """
        if self._connection is None or self._connection.closed:
            connection = await connect(self.address, self._name, self._timeout_s)
            register_arrays(connection)
            try:
                with answered_within(connection, self._timeout_s):
                    await self._lock(connection)
                    if self._owning:
                        await self._see_that_none_came(connection)
            except BaseException:
                await connection.close()
                raise
            self._connection = connection
        return self._connection

    async def own(self) -> None:
        """Write down that from now on it is this process; the schema is there."""
        connection = await self.connection()
        with answered_within(connection, self._timeout_s):
            await connection.execute(PUT_SETTING.replace("?", "%s"), (_OWNER, self._token))
        self._owning = True

    async def drop(self) -> None:
        """Close the session, and let go of the lock as soon as the server hears of it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _lock(self, connection: Connection) -> None:
        while True:
            cursor = await connection.execute(_TAKE, (_LOCK,))
            if await cursor.fetchone() == (True,):
                return
            cursor = await connection.execute(_HOLDER, (_LOCK,))
            row = await cursor.fetchone()
            if row is not None:
                holder = _Holder(*row)
                if holder.name != self._name:
                    raise StoreTaken(
                        f"another orchestrator works on {self.address.name}:"
                        f" {holder.name or 'of another user'}, from {holder.address},"
                        f" connected since {holder.since} UTC",
                        expected="one orchestrator for one database",
                        fix="stop it, or name another database",
                    )
                # Our own former session, which the server has not given up yet. It may be in the
                # middle of a commit: nothing is sure before it is gone.
                _log.info("former_session_ended", extra={"server_pid": holder.pid})
                await connection.execute("SELECT pg_terminate_backend(%s)", (holder.pid,))
            await asyncio.sleep(_TRY_S)

    async def _see_that_none_came(self, connection: Connection) -> None:
        cursor = await connection.execute("SELECT value FROM settings WHERE name=%s", (_OWNER,))
        row = await cursor.fetchone()
        if row is None or bytes(row[0]) != self._token:
            raise StoreTaken(
                f"another orchestrator has worked on {self.address.name} while it was out of reach",
                fix="start this one again: it then reads what is recorded",
            )
