"""The reading path: SQLAlchemy Core statements, portable, and how rows become records.

Every function takes a connection, reads one consistent snapshot and returns records.
"""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, case, func, or_, select, tuple_

from paddock_orchestrator.store.records import EventRow, Key, Organization, Scope, SessionRow, Usage
from paddock_orchestrator.store.schema import events, keys, organizations, sessions, settings

Cursor = tuple[int, str]
"""`(requested_ms, session_id)` of the last session of a page."""

_s = sessions.c


def open_sessions(connection: Connection) -> list[SessionRow]:
    """Sessions of every organization that may still hold a slot, oldest request first."""
    query = select(sessions).where(_s.torn_down_ms.is_(None))
    return _sessions(connection, query.order_by(_s.requested_ms))


def session(connection: Connection, org: str, session_id: str) -> SessionRow | None:
    """The organization's session of that id."""
    query = select(sessions).where(_s.session_id == session_id, _s.org_id == org)
    return _first(_sessions(connection, query))


def find_session(connection: Connection, session_id: str) -> SessionRow | None:
    """The session of that id, of any organization."""
    return _first(_sessions(connection, select(sessions).where(_s.session_id == session_id)))


def list_sessions(
    connection: Connection,
    org: str,
    agent: str | None,
    state: str | None,
    limit: int,
    before: Cursor | None,
) -> list[SessionRow]:
    """A page of the organization's sessions, newest request first, from after `before`."""
    query = select(sessions).where(_s.org_id == org)
    if agent is not None:
        query = query.where(_s.agent == agent)
    if state == "open":
        query = query.where(_s.torn_down_ms.is_(None))
    elif state == "ended":
        query = query.where(_s.torn_down_ms.is_not(None))
    elif state is not None:
        query = query.where(_s.state == state)
    if before is not None:
        # The plain bound is implied, and lets every engine enter the index at the right place.
        query = query.where(_s.requested_ms <= before[0])
        query = query.where(tuple_(_s.requested_ms, _s.session_id) < tuple_(*before))
    query = query.order_by(_s.requested_ms.desc(), _s.session_id.desc()).limit(limit)
    return _sessions(connection, query)


def idempotency_keys(connection: Connection) -> list[tuple[str, str, str]]:
    """(organization, agent, key) of every key in use."""
    query = select(_s.org_id, _s.agent, _s.idempotency_key).where(_s.idempotency_key.is_not(None))
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def find_idempotent(connection: Connection, org: str, agent: str, key: str) -> SessionRow | None:
    """The session that was started with this idempotency key."""
    query = select(sessions).where(_s.org_id == org, _s.agent == agent, _s.idempotency_key == key)
    return _first(_sessions(connection, query))


def events_of(connection: Connection, org: str, session_id: str) -> list[EventRow]:
    """The session's history, oldest first."""
    query = select(events).where(events.c.session_id == session_id, events.c.org_id == org)
    return [EventRow(*row) for row in connection.execute(query.order_by(events.c.event_id))]


def events_after(
    connection: Connection, org: str, event_id: int, limit: int, agent: str | None
) -> list[EventRow]:
    """The organization's events with greater ids, oldest first."""
    query = select(events).where(events.c.org_id == org, events.c.event_id > event_id)
    if agent is not None:
        query = query.where(events.c.agent == agent)
    query = query.order_by(events.c.event_id).limit(limit)
    return [EventRow(*row) for row in connection.execute(query)]


def last_event_id(connection: Connection) -> int:
    """The greatest event id of all organizations, 0 for none."""
    return connection.execute(select(func.max(events.c.event_id))).scalar() or 0


def list_organizations(connection: Connection) -> list[Organization]:
    """Every organization, by id."""
    query = select(organizations).order_by(organizations.c.org_id)
    return [Organization(*row) for row in connection.execute(query)]


def list_keys(connection: Connection, org: str | None) -> list[Key]:
    """The keys of one organization or of all, revoked and expired ones too, oldest first."""
    query = select(keys)
    if org is not None:
        query = query.where(keys.c.org_id == org)
    query = query.order_by(keys.c.created_ms, keys.c.key_id)
    return [_key(row) for row in connection.execute(query)]


def settings_under(connection: Connection, prefix: str) -> dict[str, bytes]:
    """Settings whose names begin with `prefix`."""
    name = settings.c.name
    query = select(name, settings.c.value).where(name.startswith(prefix, autoescape=True))
    return {row[0]: row[1] for row in connection.execute(query)}


def setting(connection: Connection, name: str) -> bytes | None:
    """A setting's value."""
    query = select(settings.c.value).where(settings.c.name == name)
    return connection.execute(query).scalar()


def usage(
    connection: Connection, org: str, agent: str | None, since_ms: int, until_ms: int
) -> list[Usage]:
    """What each agent's sessions used inside `[since_ms, until_ms)`, by agent."""
    ended = func.coalesce(_s.ended_ms, _s.torn_down_ms, until_ms)
    torn_down = func.coalesce(_s.torn_down_ms, until_ms)
    window = (since_ms, until_ms)
    query = (
        select(
            _s.agent,
            func.sum(case((_s.requested_ms >= since_ms, 1), else_=0)),
            func.sum(_overlap(_s.assigned_ms, func.coalesce(_s.started_ms, ended), *window)),
            func.sum(_overlap(_s.started_ms, ended, *window)),
            func.sum(
                case((_s.assigned_ms.is_(None), 0), else_=_overlap(_s.ended_ms, torn_down, *window))
            ),
        )
        .where(_s.org_id == org, _s.requested_ms < until_ms)
        .where(
            or_(_s.torn_down_ms.is_(None), _s.torn_down_ms > since_ms, _s.requested_ms >= since_ms)
        )
        .group_by(_s.agent)
        .order_by(_s.agent)
    )
    if agent is not None:
        query = query.where(_s.agent == agent)
    # PostgreSQL sums 64-bit integers into decimals.
    return [Usage(name, *(int(n) for n in sums)) for name, *sums in connection.execute(query)]


def ended_before(connection: Connection, before_ms: int, after: str, limit: int) -> list[str]:
    """Ids, in order, of sessions torn down before `before_ms`, from after the id `after`."""
    query = select(_s.session_id).where(_s.session_id > after, _s.torn_down_ms < before_ms)
    return list(connection.execute(query.order_by(_s.session_id).limit(limit)).scalars())


def events_before(connection: Connection, before_ms: int, after: int, limit: int) -> list[int]:
    """Ids, in order, of events before `before_ms` whose session, if any, is not kept."""
    e = events.c
    kept = select(_s.session_id).where(_s.session_id == e.session_id).exists()
    query = select(e.event_id).where(e.event_id > after, e.at_ms < before_ms, ~kept)
    return list(connection.execute(query.order_by(e.event_id).limit(limit)).scalars())


def _overlap(
    start: ColumnElement[Any], end: ColumnElement[Any], since_ms: int, until_ms: int
) -> ColumnElement[int]:
    """Milliseconds of `[start, end)` inside the window; 0 for a start that never was."""
    low = case((start < since_ms, since_ms), else_=start)
    high = case((end > until_ms, until_ms), else_=end)
    return case((start.is_(None), 0), (high > low, high - low), else_=0)


def _sessions(connection: Connection, query: Select[Any]) -> list[SessionRow]:
    return [SessionRow(*row) for row in connection.execute(query)]


def _first(rows: Iterable[SessionRow]) -> SessionRow | None:
    return next(iter(rows), None)


def _key(row: Row[Any]) -> Key:
    key_id, org_id, name, scope, digest, created_ms, shown, agents, expires_ms, revoked_ms = tuple(
        row
    )
    return Key(
        key_id=key_id,
        org_id=org_id,
        name=name,
        scope=Scope(scope),
        digest=digest,
        created_ms=created_ms,
        shown=shown,
        agents=tuple(json.loads(agents)),
        expires_ms=expires_ms,
        revoked_ms=revoked_ms,
    )
