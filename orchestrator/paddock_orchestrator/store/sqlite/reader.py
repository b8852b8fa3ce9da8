"""The reading side: a few threads, each query on a connection that can only read."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from paddock_orchestrator.store.errors import StoreClosed, StoreUnavailable

T = TypeVar("T")


class Reader:
    """Runs queries beside the writer; WAL lets neither wait for the other."""

    def __init__(self, path: Path, *, busy_timeout_s: float, threads: int = 2) -> None:
        # As many connections as threads: a query never waits for one.
        self._engine = create_engine(
            f"sqlite:///{path}",
            pool_size=threads,
            max_overflow=0,
            connect_args={"timeout": busy_timeout_s},
        )
        event.listen(self._engine, "connect", _read_only)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="store-reader")
        self._closed = False

    async def read(self, query: Callable[[Connection], T]) -> T:
        """The query's answer, read from one snapshot. Raises `StoreUnavailable`, `StoreClosed`."""
        if self._closed:
            raise StoreClosed("the store is closed")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._read, query)

    async def close(self) -> None:
        """Let running queries finish, then close the connections."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._threads.shutdown)
            self._engine.dispose()

    def _read(self, query: Callable[[Connection], T]) -> T:
        try:
            with self._engine.connect() as connection:
                # The driver begins nothing for a SELECT: said here, several see one snapshot.
                connection.exec_driver_sql("BEGIN")
                return query(connection)
        except DBAPIError as error:
            raise StoreUnavailable(f"the store cannot be read: {error.orig}") from error


def _read_only(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=ON")
