"""PostgreSQL's addresses, failures and arrays, without a server."""

import struct

import psycopg
import pytest
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from paddock_orchestrator.store import statements
from paddock_orchestrator.store.errors import (
    RecordRejected,
    StoreMisconfigured,
    StoreUnavailable,
)
from paddock_orchestrator.store.postgres.address import read_address
from paddock_orchestrator.store.postgres.arrays import steps
from paddock_orchestrator.store.postgres.failures import (
    environment_failure,
    is_environment,
    opening_failure,
    record_failure,
)
from paddock_orchestrator.store.records import EventRow, SessionChange, SessionRow

_NAME = "postgresql://db:5432/paddock"


def _started(session_id: str, attempt: int = 1) -> statements.Row:
    row = SessionRow(session_id, "acme", "desk", "assigned", attempt, "r", "i", 1, 2.5, b"{}", b"")
    return statements.started(row)[0]


def test_an_address_shows_where_and_hides_the_password() -> None:
    address = read_address("postgresql://me:hunter2@db:5432/paddock", timeout_s=5)
    assert address.name == _NAME
    assert conninfo_to_dict(address.conninfo)["password"] == "hunter2"


def test_an_addresss_own_options_come_before_ours() -> None:
    given = "postgresql://h1,h2/d?sslmode=verify-full&connect_timeout=9&keepalives_idle=99"
    told = conninfo_to_dict(read_address(given, timeout_s=5).conninfo)
    assert (told["sslmode"], told["connect_timeout"], told["keepalives_idle"]) == (
        "verify-full", "9", "99",
    )  # fmt: skip
    assert (told["host"], told["keepalives_count"]) == ("h1,h2", "3")
    assert conninfo_to_dict(read_address("postgresql:///d", timeout_s=7).conninfo)[
        "connect_timeout"
    ] in (7, "7")


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("the connection is closed"),
        errors.AdminShutdown("terminating connection"),
        errors.DiskFull("no space"),
        errors.ReadOnlySqlTransaction("read-only"),
        errors.DeadlockDetected("deadlock"),
        TimeoutError("no answer within 5 s"),
    ],
)
def test_what_passes_is_the_environment(error: Exception) -> None:
    assert is_environment(error)
    assert isinstance(environment_failure(error, _NAME), StoreUnavailable)


@pytest.mark.parametrize(
    "error",
    [
        errors.NotNullViolation("null"),
        errors.NumericValueOutOfRange("range"),
        errors.ProgramLimitExceeded("index row too large"),
        psycopg.DataError("no sqlstate"),
        UnicodeEncodeError("utf-8", "secret \ud800", 7, 8, "surrogates not allowed"),
        struct.error("too large"),
    ],
)
def test_what_a_record_causes_is_not_the_environment(error: Exception) -> None:
    assert not is_environment(error)
    told = record_failure(error)
    assert type(told) is RecordRejected
    assert "secret" not in str(told)


def test_a_failure_is_one_line_with_its_cure() -> None:
    refused = psycopg.OperationalError("connection failed:\n\tConnection refused\n")
    told = str(opening_failure(refused, _NAME))
    assert told.startswith(f"{_NAME} cannot be used: connection failed: Connection refused; fix: ")
    assert "\n" not in told


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ('FATAL: password authentication failed for user "me"', "correct user and password"),
        ('FATAL: no pg_hba.conf entry for host "10.0.0.1", user "me"', "pg_hba.conf"),
        ('FATAL: database "paddock" does not exist', "create the database"),
        ('FATAL: role "me" does not exist', "create the role"),
        ('root certificate file "/nowhere" does not exist', "sslrootcert"),
        ("SSL error: certificate verify failed", "sslrootcert"),
    ],
)
def test_what_waiting_does_not_mend_is_told_apart(text: str, cure: str) -> None:
    told = opening_failure(psycopg.OperationalError(text), _NAME)
    assert isinstance(told, StoreMisconfigured)
    assert cure in told.fix


def test_a_server_that_starts_up_is_waited_for() -> None:
    starting = psycopg.OperationalError("FATAL: the database system is starting up")
    assert isinstance(opening_failure(starting, _NAME), StoreUnavailable)


def test_rows_of_a_statement_are_one_step() -> None:
    event = EventRow(1, "acme", 1, "k", "desk", None, b"")
    rows = [_started("a"), *statements.appended([event]), _started("b")]
    assert [sql.split()[2] for sql, _ in steps(rows)] == ["sessions", "events"]


def test_a_row_that_comes_twice_is_sent_once_as_it_was_last() -> None:
    [(_, arrays)] = steps([_started("a", 1), _started("a", 2)])
    assert arrays[4] == struct.pack("!iiIii", 1, 1, 23, 1, 1) + struct.pack("!ii", 4, 2)


def test_a_change_after_a_start_comes_after_it_and_a_start_after_a_change_begins_anew() -> None:
    changed = statements.changed(SessionChange("a", "active", 1, "r", "i"), ())
    words = [sql.split()[0] for sql, _ in steps([_started("a"), *changed, _started("a", 2)])]
    assert words == ["INSERT", "UPDATE", "INSERT"]


def test_nulls_and_nul_travel() -> None:
    event = EventRow(1, "a\0", 1, "k", "desk", None, b"\0")
    [(_, arrays)] = steps(statements.appended([event]))
    assert arrays[1].endswith("a\ufffd".encode())
    assert arrays[5].endswith(struct.pack("!i", -1))
    assert arrays[6].endswith(b"\0\0\0\1\0")
