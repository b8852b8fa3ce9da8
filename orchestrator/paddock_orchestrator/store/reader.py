"""The reading side: a few threads, each query on a connection that can only read."""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from paddock_orchestrator.store.errors import StoreClosed, StoreMisconfigured, StoreUnavailable

T = TypeVar("T")


class Reader:
    """Runs queries beside the writer; WAL lets neither wait for the other."""

    def __init__(self, path: Path, *, busy_timeout_s: float, threads: int) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s
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
        return await self._off_loop(lambda: self._read(query))

    async def backup(self, target: Path) -> None:
        """Copy one consistent state to `target`, which appears whole, mode 0600, or not at all."""
        await self._off_loop(lambda: self._backup(target))

    async def close(self) -> None:
        """Let running queries finish, then close the connections."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._threads.shutdown)
            self._engine.dispose()

    async def _off_loop(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise StoreClosed("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _read(self, query: Callable[[Connection], T]) -> T:
        try:
            with self._engine.connect() as connection:
                # The driver begins nothing for a SELECT: said here, several see one snapshot.
                connection.exec_driver_sql("BEGIN")
                return query(connection)
        except DBAPIError as error:
            raise StoreUnavailable(f"the store cannot be read: {error.orig}") from error

    def _backup(self, target: Path) -> None:
        partial = target.with_name(f"{target.name}.partial")
        try:
            os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
            with (
                contextlib.closing(
                    sqlite3.connect(self._path, timeout=self._busy_timeout_s)
                ) as source,
                contextlib.closing(sqlite3.connect(partial)) as copy,
            ):
                # All pages in one step: between steps, a commit would start the copy over.
                source.backup(copy, pages=-1)
                # One file, not three, for whoever moves it.
                copy.execute("PRAGMA journal_mode=DELETE")
            partial.chmod(0o600)
            partial.replace(target)
        except OSError as error:
            raise StoreMisconfigured(
                f"the backup cannot be written to {target}: {error.strerror or error}",
                expected="a path in a writable directory",
            ) from error
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the backup failed: {error}") from error
        finally:
            partial.unlink(missing_ok=True)


def _read_only(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=ON")
