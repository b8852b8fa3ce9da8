"""The statements of the writing path, and how records become their parameters.

They are SQL that SQLite and PostgreSQL both understand, with SQLite's question marks. Each hot
statement is one object for the life of the process: writers find runs by identity, and SQLite's
driver keeps it prepared. It is given exact `int`, `float`, `str`, `bytearray`:
for anything else, None and `bytes` too, the driver looks for an adapter, at three times the price
of binding the value.
"""

import json
import re
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

Row = tuple[str, tuple[Any, ...]]
"""A statement and its parameters. Equal statements should be one object: runs are found by it."""

_Encode = Callable[[Any], tuple[Any, ...]]


def _encoder(record: type[msgspec.Struct], *, last: str | None = None) -> _Encode:
    """A function from a record to its fields' values in order, the `last` one moved to the end."""
    names = [name for name in record.__struct_fields__ if name != last]
    return attrgetter(*names, *([last] if last else []))


def _insert(table: Table, names: Sequence[str] = ()) -> str:
    names = names or table.columns.keys()
    columns = ", ".join(f'"{name}"' for name in names)
    marks = ", ".join("?" for _ in names)
    return f"INSERT INTO {table.name} ({columns}) VALUES ({marks})"


def _upsert(table: Table, names: Sequence[str] = ()) -> str:
    """Insert or update by primary key only: REPLACE would delete rows over any unique index."""
    names = names or table.columns.keys()
    key = next(iter(table.primary_key.columns)).name
    changed = ", ".join(f'"{name}"=excluded."{name}"' for name in names if name != key)
    return f"{_insert(table, names)} ON CONFLICT ({key}) DO UPDATE SET {changed}"


CHANGING = tuple(name for name in SessionChange.__struct_fields__ if name != "session_id")
"""What a change sets; the session's id is its last parameter."""


def _update() -> str:
    return f"UPDATE sessions SET {', '.join(f'{n}=?' for n in CHANGING)} WHERE session_id=?"


def around_values(insert: str) -> tuple[str, str]:
    """What stands before and after the `VALUES (?, ...)` of an insert, for another source."""
    head, _, tail = re.split(r"(VALUES \([?, ]+\))", insert)
    return head, tail


STARTING = tuple(
    name
    for name in SessionRow.__struct_fields__
    if name not in ("started_ms", "ended_ms", "torn_down_ms", "end_reason", "end_detail")
)
"""What a session that has just been offered has."""

START_SESSION = _upsert(sessions, STARTING)
PUT_SESSION = _upsert(sessions)
CHANGE_SESSION = _update()
ADD_EVENT = _insert(events)
HOT = (START_SESSION, PUT_SESSION, CHANGE_SESSION, ADD_EVENT)
"""Those that are kept while sessions come and go, rather than asked for."""
ADD_ORGANIZATION = _insert(organizations)
PUT_KEY = _upsert(keys)
PUT_SETTING = _upsert(settings)
REVOKE_KEY = "UPDATE keys SET revoked_ms=? WHERE org_id=? AND key_id=? AND revoked_ms IS NULL"
EXPIRE_IDEMPOTENCY = (
    "UPDATE sessions SET idempotency_key=NULL WHERE session_id IN (SELECT session_id FROM sessions"
    " WHERE idempotency_key IS NOT NULL AND requested_ms < ? LIMIT ?)"
)

_session_values = _encoder(SessionRow)
_change_values = _encoder(SessionChange, last="session_id")
_organization_values = _encoder(Organization)


def started(row: SessionRow) -> list[Row]:
    """The row of a session that is being offered, new or again."""
    digest = row.body_digest
    values = (
        row.session_id,
        row.org_id,
        row.agent,
        row.state,
        row.attempt,
        row.runner_id,
        row.instance,
        row.requested_ms,
        row.max_duration_s,
        bytearray(row.call),
        bytearray(row.data),
        row.idempotency_key,
        bytearray(digest) if digest is not None else None,
        row.assigned_ms,
    )
    return [(START_SESSION, values)]


def put(row: SessionRow, history: Sequence[EventRow]) -> list[Row]:
    """A session's whole row, new or again, then its events."""
    return [(PUT_SESSION, _session_values(row)), *appended(history)]


def changed(change: SessionChange, history: Sequence[EventRow]) -> list[Row]:
    """A session's change, then its events."""
    return [(CHANGE_SESSION, _change_values(change)), *appended(history)]


def appended(history: Sequence[EventRow]) -> list[Row]:
    """Events alone."""
    return [(ADD_EVENT, _event_values(event)) for event in history]


def _event_values(row: EventRow) -> tuple[Any, ...]:
    return (
        row.event_id, row.org_id, row.at_ms, row.kind, row.agent, row.session_id,
        bytearray(row.data),
    )  # fmt: skip


def sessions_dropped(ids: Sequence[str], before_ms: int) -> list[Row]:
    """Those of the sessions that were torn down before `before_ms`: their events, then their rows.

    Looked at again here: one may have been offered anew since its id was read.
    """
    found = f"FROM sessions WHERE session_id IN ({_marks(ids)}) AND torn_down_ms < ?"
    values = (*ids, before_ms)
    return [
        (f"DELETE FROM events WHERE session_id IN (SELECT session_id {found})", values),
        (f"DELETE {found}", values),
    ]


def events_dropped(ids: Sequence[int]) -> list[Row]:
    """Those of the events whose session, if any, is not kept."""
    kept = "SELECT 1 FROM sessions WHERE sessions.session_id=events.session_id"
    return [
        (f"DELETE FROM events WHERE event_id IN ({_marks(ids)}) AND NOT EXISTS ({kept})", (*ids,))
    ]


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


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
