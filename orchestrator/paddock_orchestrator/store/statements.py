"""The statements of the writing path, as driver SQL, and how records become their parameters.

Each statement is one object for the life of the process: the writer finds runs by identity, and
SQLite's driver keeps it prepared.
"""

import json
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import Table

from paddock_orchestrator.store.records import (
    EventRow,
    Key,
    Organization,
    SessionChange,
    SessionRow,
)
from paddock_orchestrator.store.schema import events, keys, organizations, sessions, settings
from paddock_orchestrator.store.writer import Row

_Encode = Callable[[Any], tuple[Any, ...]]


def _encoder(record: type[msgspec.Struct], *, last: str | None = None) -> _Encode:
    """A function from a record to its fields' values in order, the `last` one moved to the end."""
    names = [name for name in record.__struct_fields__ if name != last]
    return attrgetter(*names, *([last] if last else []))


def _insert(table: Table) -> str:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    marks = ", ".join("?" for _ in table.columns)
    return f"INSERT INTO {table.name} ({names}) VALUES ({marks})"


def _upsert(table: Table) -> str:
    """Insert or update by primary key only: REPLACE would delete rows over any unique index."""
    key = next(iter(table.primary_key.columns)).name
    changed = ", ".join(f'"{c.name}"=excluded."{c.name}"' for c in table.columns if c.name != key)
    return f"{_insert(table)} ON CONFLICT ({key}) DO UPDATE SET {changed}"


def _update() -> str:
    names = [name for name in SessionChange.__struct_fields__ if name != "session_id"]
    return f"UPDATE sessions SET {', '.join(f'{n}=?' for n in names)} WHERE session_id=?"


PUT_SESSION = _upsert(sessions)
CHANGE_SESSION = _update()
ADD_EVENT = _insert(events)
ADD_ORGANIZATION = _insert(organizations)
PUT_KEY = _upsert(keys)
PUT_SETTING = _upsert(settings)
REVOKE_KEY = "UPDATE keys SET revoked_ms=? WHERE org_id=? AND key_id=? AND revoked_ms IS NULL"
EXPIRE_IDEMPOTENCY = (
    "UPDATE sessions SET idempotency_key=NULL WHERE session_id IN (SELECT session_id FROM sessions"
    " WHERE idempotency_key IS NOT NULL AND requested_ms < ? LIMIT ?)"
)
DROP_SESSION = "DELETE FROM sessions WHERE session_id=? AND torn_down_ms < ?"
DROP_EVENTS_OF = "DELETE FROM events WHERE session_id=?"
DROP_EVENT = (
    "DELETE FROM events WHERE event_id=? AND (session_id IS NULL"
    " OR session_id NOT IN (SELECT session_id FROM sessions))"
)

_session_values = _encoder(SessionRow)
_change_values = _encoder(SessionChange, last="session_id")
_event_values = _encoder(EventRow)
_organization_values = _encoder(Organization)


def started(row: SessionRow, history: Sequence[EventRow]) -> list[Row]:
    """A session's whole row, new or again, then its events."""
    rows: list[Row] = [(PUT_SESSION, _session_values(row))]
    for event in history:
        rows.append((ADD_EVENT, _event_values(event)))  # noqa: PERF401  # extend() is slower here
    return rows


def changed(change: SessionChange, history: Sequence[EventRow]) -> list[Row]:
    """A session's change, then its events."""
    rows: list[Row] = [(CHANGE_SESSION, _change_values(change))]
    for event in history:
        rows.append((ADD_EVENT, _event_values(event)))  # noqa: PERF401
    return rows


def appended(history: Sequence[EventRow]) -> list[Row]:
    """Events alone."""
    return [(ADD_EVENT, _event_values(event)) for event in history]


def organization_added(organization: Organization) -> list[Row]:
    """A new organization."""
    return [(ADD_ORGANIZATION, _organization_values(organization))]


def key_put(key: Key) -> list[Row]:
    """A key, new or in place of the one with its id."""
    values = (
        key.key_id,
        key.org_id,
        key.name,
        str(key.scope),
        key.digest,
        key.created_ms,
        key.shown,
        json.dumps(key.agents),
        key.expires_ms,
        key.revoked_ms,
    )
    return [(PUT_KEY, values)]


def setting_put(name: str, value: bytes) -> list[Row]:
    """A setting, new or in place of the one with its name."""
    return [(PUT_SETTING, (name, value))]
