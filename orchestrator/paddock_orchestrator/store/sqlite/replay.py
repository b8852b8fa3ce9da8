"""From the commit log into the database: the rows of entries, and how far it has come."""

import contextlib
import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from paddock_orchestrator.store.sqlite.commitlog import entries, segments
from paddock_orchestrator.store.sqlite.failures import (
    environment_failure,
    is_environment,
    record_failure,
)
from paddock_orchestrator.store.statements import Row

_APPLIED = "store.applied"
_SET_APPLIED = (
    "INSERT INTO settings (name, value) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value=excluded.value"
)

_log = logging.getLogger(__name__)


def replay(database: Path, *, busy_timeout_s: float) -> int:
    """Bring the database after its log, and remove the log; the number of the next entry.

    Before the database is upgraded: the log's statements are those of its present schema. Raises
    `StoreUnavailable` while another process locks it.
    """
    left = segments(database)
    with contextlib.closing(
        sqlite3.connect(database, timeout=busy_timeout_s, isolation_level=None)
    ) as connection:
        try:
            applied = _applied(connection)
            number, rows = _after(applied, left) if applied is not None else (0, [])
            if number != (applied or 0):
                connection.execute("BEGIN IMMEDIATE")
                apply(connection, rows)
                set_applied(connection, number)
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise environment_failure(error) from error
    for segment in left:
        segment.unlink()
    if rows:
        _log.info("log_replayed", extra={"rows": len(rows), "up_to": number})
    return number + 1


def apply(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Run `rows` in order inside the open transaction.

    One that can never be kept is reported and left out: it can only be a mistake of ours. Raises
    the environment's failures.
    """
    for sql, values in rows:
        connection.execute("SAVEPOINT one")
        try:
            connection.execute(sql, values)
        except Exception as error:
            if is_environment(error):
                raise
            connection.execute("ROLLBACK TO one")
            _log.error("row_rejected", extra={"why": str(record_failure(error))})
        connection.execute("RELEASE one")


def set_applied(connection: sqlite3.Connection, number: int) -> None:
    """The database has every entry up to `number`, once this is committed."""
    connection.execute(_SET_APPLIED, (_APPLIED, str(number).encode()))


def _applied(connection: sqlite3.Connection) -> int | None:
    """The last entry that the database has; None for a database without our tables."""
    try:
        found = connection.execute("SELECT value FROM settings WHERE name=?", (_APPLIED,))
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise
    row = found.fetchone()
    return int(row[0]) if row is not None else 0


def _after(applied: int, left: Sequence[Path]) -> tuple[int, list[Row]]:
    """The last entry's number and the rows of those after `applied`."""
    last, rows = applied, []
    for segment in left:
        for number, more in entries(segment):
            if number > last:
                rows += more
                last = number
    return last, rows
