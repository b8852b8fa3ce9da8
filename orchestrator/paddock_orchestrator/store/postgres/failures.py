"""Reading PostgreSQL's failures: the environment's, which pass, apart from a record's own."""

import psycopg
from psycopg import errors

from paddock_orchestrator.store.errors import (
    AlreadyExists,
    DuplicateKey,
    RecordRejected,
    StoreError,
    StoreMisconfigured,
    StoreUnavailable,
)

_RECORD_CLASSES = ("22", "23", "54")
"""Of SQLSTATE: data, integrity, limits."""
_UNREACHABLE = "see that PostgreSQL runs there and that the network lets this host through"
_PERMANENT = (
    # Before there is a connection, the server's words are all there is.
    ("password", "correct user and password in the URL, PGPASSWORD or PGPASSFILE"),
    ("pg_hba.conf", "let this host and user in by the server's pg_hba.conf, or set sslmode"),
    ("database", "create the database, or correct its name in the URL"),
    ("role", "create the role, or correct the user in the URL"),
    ("certificate", "correct sslmode and sslrootcert in the URL"),
    ("SSL", "correct sslmode and sslrootcert in the URL"),
)
_SIGNS = (
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "does not support SSL",
    "certificate",
)


def is_environment(error: BaseException) -> bool:
    """Whether the same statement may succeed later, unlike a bad record."""
    if isinstance(error, psycopg.Error):
        if error.sqlstate is not None:
            return error.sqlstate[:2] not in _RECORD_CLASSES
        return not isinstance(error, psycopg.DataError)
    return isinstance(error, (OSError, MemoryError, StoreUnavailable))


def environment_failure(error: BaseException, name: str) -> StoreUnavailable:
    """The error for the caller whose submission met the environment's failure."""
    if isinstance(error, StoreUnavailable):
        return error
    return StoreUnavailable(f"{name} cannot be used: {text_of(error)}", fix=_fix(error))


def opening_failure(error: BaseException, name: str) -> StoreError:
    """The error for who starts: one that waiting does not mend is `StoreMisconfigured`."""
    text = text_of(error)
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return StoreMisconfigured(
            f"{name} is read-only: {text}",
            expected="the primary server",
            fix="name the primary, or all servers with target_session_attrs=read-write",
        )
    if isinstance(error, errors.InsufficientPrivilege):
        return StoreMisconfigured(
            f"{name} cannot be used: {text}",
            fix="make the user the owner of the database, or grant it CREATE on the schema",
        )
    unconnected = isinstance(error, psycopg.OperationalError) and error.sqlstate is None
    if unconnected and any(sign in text for sign in _SIGNS):
        fix = next(fix for word, fix in _PERMANENT if word in text)
        return StoreMisconfigured(f"{name} cannot be used: {text}", fix=fix)
    return environment_failure(error, name)


def record_failure(error: BaseException) -> StoreError:
    """The error for the caller whose record can never be stored. Names columns, never values."""
    if isinstance(error, errors.UniqueViolation):
        constraint = error.diag.constraint_name or ""
        if constraint == "uq_sessions_idempotency":
            return DuplicateKey(
                "another session of the agent holds this idempotency key",
                fix="read that session instead of starting one",
            )
        return AlreadyExists(f"a record with the same value exists: {constraint}")
    if isinstance(error, UnicodeEncodeError):
        # Its own text quotes the character, which is the caller's.
        return RecordRejected("the record cannot be stored: text that is not valid Unicode")
    # The primary message of the server quotes no row; its detail does.
    message = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return RecordRejected(f"the record cannot be stored: {message or type(error).__name__}")


def text_of(error: BaseException) -> str:
    """What went wrong, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _fix(error: BaseException) -> str:
    if isinstance(error, errors.DiskFull):
        return "free space on the server's disk"
    if isinstance(error, errors.TooManyConnections):
        return "raise max_connections, or end other clients"
    if isinstance(error, psycopg.Error) and error.sqlstate is not None:
        return ""
    return _UNREACHABLE
