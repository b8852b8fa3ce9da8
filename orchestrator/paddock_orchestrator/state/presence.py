"""Whether a session's entrypoint runs, and whether any socket leads to it."""

from paddock_orchestrator.state.book import Book, Instant, Session, Stage
from paddock_orchestrator.state.effects import Note
from paddock_orchestrator.state.timers import Alarm


def activate(book: Book, session: Session, at_ms: int) -> None:
    """The entrypoint runs."""
    if session.stage is not Stage.ASSIGNED:
        return
    session.stage = Stage.ACTIVE
    session.started_ms = at_ms
    session.data = None
    session.dirty = True
    book.dirty.add(session)
    book.effects.append(
        Note(session.pool.org, "session.active", session.pool.agent, session.session_id, {})
    )


def orphan(book: Book, session: Session, now: Instant) -> None:
    """No socket leads to the session: keep its slot until it is found or its grace is over."""
    if session.orphaned_at is not None:
        return
    session.orphaned_at = now.mono
    book.timers.set(now.mono + book.limits.orphan_grace_s, Alarm.GRACE, session, now.mono)
