"""Removing what is too old, in small steps, so that starts keep committing in between."""

import sqlite3
from collections.abc import Sequence
from functools import partial

from paddock_orchestrator.store import queries, statements
from paddock_orchestrator.store.reader import Reader
from paddock_orchestrator.store.records import Pruned
from paddock_orchestrator.store.writer import Writer

_STEP = 200
"""Sessions, or events, removed in one transaction: some milliseconds of the write lock."""


async def prune(reader: Reader, writer: Writer, before_ms: int, *, step: int = _STEP) -> Pruned:
    """Remove sessions torn down before `before_ms` with all their events, then older events.

    An event of a session that is kept is kept, however old: a kept session has its whole history.
    Ids are found by reading; only their removal takes the write lock.
    """
    session_count = event_count = 0
    last_session = ""
    while ids := await reader.read(
        partial(queries.ended_before, before_ms=before_ms, after=last_session, limit=step)
    ):
        last_session = ids[-1]
        dropped = await writer.run(partial(_drop_sessions, ids, before_ms))
        session_count += dropped.sessions
        event_count += dropped.events
    last_event = -1
    while numbers := await reader.read(
        partial(queries.events_before, before_ms=before_ms, after=last_event, limit=step)
    ):
        last_event = numbers[-1]
        event_count += await writer.run(partial(_drop_events, numbers))
    return Pruned(session_count, event_count)


async def expire_idempotency(writer: Writer, before_ms: int, *, step: int = _STEP) -> int:
    """Free the idempotency keys of sessions requested before `before_ms`; returns how many."""
    total = 0
    while True:
        count = await writer.run(
            lambda c: c.execute(statements.EXPIRE_IDEMPOTENCY, (before_ms, step)).rowcount
        )
        total += count
        if count < step:
            return total


def _drop_sessions(ids: Sequence[str], before_ms: int, connection: sqlite3.Connection) -> Pruned:
    session_count = event_count = 0
    for session_id in ids:
        # Looked at again here: it may have been offered anew since it was read.
        if connection.execute(statements.DROP_SESSION, (session_id, before_ms)).rowcount:
            session_count += 1
            event_count += connection.execute(statements.DROP_EVENTS_OF, (session_id,)).rowcount
    return Pruned(session_count, event_count)


def _drop_events(ids: Sequence[int], connection: sqlite3.Connection) -> int:
    return connection.executemany(statements.DROP_EVENT, [(event_id,) for event_id in ids]).rowcount
