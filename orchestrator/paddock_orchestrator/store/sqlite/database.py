"""Opening and upgrading an SQLite file."""

import asyncio
import sqlite3
from pathlib import Path

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from paddock_orchestrator.store import statements
from paddock_orchestrator.store.errors import StoreMisconfigured
from paddock_orchestrator.store.migrations import upgrade
from paddock_orchestrator.store.sqlite.commitlog import CommitLog
from paddock_orchestrator.store.sqlite.failures import (
    environment_failure,
    is_environment,
    is_no_database,
)
from paddock_orchestrator.store.sqlite.location import database_path, prepare_file
from paddock_orchestrator.store.sqlite.reader import Reader
from paddock_orchestrator.store.sqlite.replay import replay
from paddock_orchestrator.store.sqlite.writer import Writer


async def open_database(url: str, timeout_s: float, max_queue: int) -> tuple[Writer, Reader]:
    """Create or upgrade the file, and bring it after its commit log.

    What is kept survives the death of the process at once, and that of the machine once the
    operating system has written it.
    """
    path = database_path(url)

    def prepare() -> int:
        prepare_file(path)
        next_entry = replay(path, busy_timeout_s=timeout_s)
        migrate(path, busy_timeout_s=timeout_s)
        return next_entry

    log = CommitLog(path, statements.HOT, await asyncio.to_thread(prepare))
    writer = Writer(path, log, busy_timeout_s=timeout_s, max_queue=max_queue)
    reader = Reader(path, busy_timeout_s=timeout_s)
    try:
        await writer.run(())
    except BaseException:
        await writer.close()
        await reader.close()
        raise
    return writer, reader


def migrate(path: Path, *, busy_timeout_s: float = 5.0) -> None:
    """Upgrade the file to the head revision, all of it or nothing.

    Raises `SchemaTooNew` for a database that a newer version wrote, `StoreUnavailable` while
    another process locks it, `StoreMisconfigured` for a file that is no database.
    """
    engine = create_engine(
        f"sqlite:///{path}", poolclass=NullPool, connect_args={"timeout": busy_timeout_s}
    )
    event.listen(engine, "connect", _begin_by_hand)
    event.listen(engine, "begin", _begin_immediate)
    try:
        with engine.begin() as connection:
            upgrade(connection, str(path))
    except DBAPIError as error:
        cause = error.orig
        if cause is not None and is_environment(cause) and not is_no_database(cause):
            raise environment_failure(cause) from error
        raise StoreMisconfigured(
            f"{path} cannot be migrated: {cause}",
            expected="a database of this product, or no file",
            fix="name another file, or move this one away",
        ) from error
    finally:
        engine.dispose()


def _begin_by_hand(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """Stop the driver from committing before each CREATE: a killed migration leaves no half."""
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
