"""Removing what is too old, in small steps, so that starts keep committing in between."""

from functools import partial

from paddock_orchestrator.store import queries, statements
from paddock_orchestrator.store.records import Pruned
from paddock_orchestrator.store.sides import Reader, Writer

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
        of_sessions, dropped = await writer.run(statements.sessions_dropped(ids, before_ms))
        session_count += dropped
        event_count += of_sessions
    last_event = -1
    while numbers := await reader.read(
        partial(queries.events_before, before_ms=before_ms, after=last_event, limit=step)
    ):
        last_event = numbers[-1]
        event_count += sum(await writer.run(statements.events_dropped(numbers)))
    return Pruned(session_count, event_count)


async def expire_idempotency(writer: Writer, before_ms: int, *, step: int = _STEP) -> int:
    """Free the idempotency keys of sessions requested before `before_ms`; returns how many."""
    total = 0
    while True:
        [count] = await writer.run([(statements.EXPIRE_IDEMPOTENCY, (before_ms, step))])
        total += count
        if count < step:
            return total
