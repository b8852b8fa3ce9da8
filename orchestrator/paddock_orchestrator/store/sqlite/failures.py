"""Reading SQLite's failures: the environment's, which pass, apart from a record's own."""

import sqlite3

from paddock_orchestrator.store.errors import (
    AlreadyExists,
    DuplicateKey,
    RecordRejected,
    StoreError,
    StoreUnavailable,
)

_PRIMARY = 0xFF
"""The low byte of an extended result code is the primary one."""

_RECORD_CODES = frozenset(
    {
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_ERROR,
    }
)
_UNIQUE_CODES = frozenset({sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY})
_KEEPS_CONNECTION = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL})
_BROKEN = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})
_FIXES = {
    sqlite3.SQLITE_BUSY: "end the other process that holds the database's write lock",
    sqlite3.SQLITE_LOCKED: "end the other process that holds the database's write lock",
    sqlite3.SQLITE_FULL: "free space on the database's disk",
    sqlite3.SQLITE_READONLY: "make the database file and its directory writable",
    sqlite3.SQLITE_CANTOPEN: "make the database file and its directory accessible",
    sqlite3.SQLITE_CORRUPT: "restore a backup",
    sqlite3.SQLITE_NOTADB: "restore a backup",
}


def is_environment(error: BaseException) -> bool:
    """Whether the same statement may succeed later (locked, full, I/O), unlike a bad record."""
    if isinstance(error, (OSError, MemoryError)):
        return True
    code = _code(error)
    return code is not None and code & _PRIMARY not in _RECORD_CODES


def is_no_database(error: BaseException) -> bool:
    """Whether the file is something else than a database, or a broken one."""
    code = _code(error)
    return code is not None and code & _PRIMARY in _BROKEN


def needs_new_connection(error: BaseException) -> bool:
    """Whether the connection should be opened anew: not after a lock or a full disk."""
    code = _code(error)
    return code is None or code & _PRIMARY not in _KEEPS_CONNECTION


def environment_failure(error: BaseException) -> StoreUnavailable:
    """The error for the caller whose submission met the environment's failure."""
    code = _code(error)
    fix = "" if code is None else _FIXES.get(code & _PRIMARY, "")
    return StoreUnavailable(f"the store cannot commit: {_text(error)}", fix=fix)


def record_failure(error: BaseException) -> StoreError:
    """The error for the caller whose record can never be stored. Names columns, never values."""
    text = str(error)
    if _code(error) in _UNIQUE_CODES:
        if "sessions.idempotency_key" in text:
            return DuplicateKey(
                "another session of the agent holds this idempotency key",
                fix="read that session instead of starting one",
            )
        return AlreadyExists(f"a record with the same value exists: {text}")
    return RecordRejected(f"the record cannot be stored: {_text(error)}")


def _code(error: BaseException) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return code if isinstance(code, int) else None


def _text(error: BaseException) -> str:
    if isinstance(error, UnicodeEncodeError):
        # Its own text quotes the character, which is the caller's.
        return "text that is not valid Unicode"
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return f"{error} ({name})"
