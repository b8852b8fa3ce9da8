"""Telling SQLite's failures apart."""

import sqlite3

import pytest

from paddock_orchestrator.store.errors import AlreadyExists, DuplicateKey, RecordRejected
from paddock_orchestrator.store.sqlite.failures import (
    environment_failure,
    is_environment,
    is_no_database,
    needs_new_connection,
    record_failure,
)


def sqlite_error(code: int, text: str = "text") -> sqlite3.Error:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    error.sqlite_errorname = "NAME"
    return error


@pytest.mark.parametrize(
    "code",
    [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_WRITE],
)
def test_what_passes_is_the_environment(code: int) -> None:
    assert is_environment(sqlite_error(code))


@pytest.mark.parametrize(
    "error",
    [
        sqlite_error(sqlite3.SQLITE_CONSTRAINT_NOTNULL),
        sqlite_error(sqlite3.SQLITE_TOOBIG),
        sqlite3.ProgrammingError("Error binding parameter 1"),
        OverflowError("Python int too large to convert to SQLite INTEGER"),
    ],
)
def test_what_a_record_causes_is_not_the_environment(error: Exception) -> None:
    assert not is_environment(error)
    assert RecordRejected is type(record_failure(error))


def test_an_operating_system_error_is_the_environment() -> None:
    assert is_environment(OSError("no space left"))
    assert "no space left" in str(environment_failure(OSError("no space left")))


def test_a_lock_and_a_full_disk_keep_the_connection() -> None:
    assert not needs_new_connection(sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT))
    assert not needs_new_connection(sqlite_error(sqlite3.SQLITE_FULL))
    assert needs_new_connection(sqlite_error(sqlite3.SQLITE_IOERR_FSYNC))


def test_a_full_disk_names_its_fix() -> None:
    assert "free space" in environment_failure(sqlite_error(sqlite3.SQLITE_FULL)).fix


def test_unique_violations_are_told_apart_by_their_columns() -> None:
    unique = sqlite3.SQLITE_CONSTRAINT_UNIQUE
    key = sqlite_error(unique, "UNIQUE constraint failed: sessions.agent, sessions.idempotency_key")
    assert DuplicateKey is type(record_failure(key))
    digest = sqlite_error(unique, "UNIQUE constraint failed: keys.digest")
    assert AlreadyExists is type(record_failure(digest))


def test_a_bad_character_is_not_quoted() -> None:
    error = UnicodeEncodeError("utf-8", "secret \ud800", 7, 8, "surrogates not allowed")
    assert "secret" not in str(record_failure(error))


def test_a_broken_file_is_no_database() -> None:
    assert is_no_database(sqlite_error(sqlite3.SQLITE_NOTADB))
    assert not is_no_database(sqlite_error(sqlite3.SQLITE_BUSY))
