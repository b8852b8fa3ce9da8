"""From an accepted session to its one end: events, lost sockets, grace, deadlines.

A session ends when its runner says so. Without a word from the runner it ends only when its
grace is over, when the runner is known to have forgotten it, or when it was told to end and did
not; never because something merely looks idle.
"""

from paddock.protocol import control, features
from paddock.protocol.words import EndReason, end_reason
from paddock_orchestrator.state.book import Book, Bridge, Instant, Runner, Session, Stage
from paddock_orchestrator.state.effects import AckEvent, CloseBridge, EndBridge, Ended, Send
from paddock_orchestrator.state.placing import accepted, refresh, release, wake
from paddock_orchestrator.state.presence import activate, orphan
from paddock_orchestrator.state.timers import Alarm

_LIVE = (Stage.ASSIGNED, Stage.ACTIVE, Stage.ENDING)


def heard(book: Book, runner: Runner, event: control.SessionEvent, now: Instant) -> None:
    """A runner's event. Repeated, late and unknown ones are acknowledged and change nothing."""
    session = book.sessions.get(event.session_id)
    if session is None or session.runner is not runner or session.attempt != event.attempt:
        job_id = f"{event.session_id}.{event.attempt}"
        if event.kind == "ended" and runner.ghosts.pop(job_id, None) is not None:
            refresh(book, runner, now)
            wake(book, runner.pool, now)
        book.effects.append(AckEvent(runner, event.seq))
        return
    session.orphaned_at = None
    if session.stage is Stage.OFFERED:
        accepted(book, session, now)
    if event.kind == "ended":
        _ended_by_runner(book, session, event, now)
        return
    if event.kind == "active":
        activate(book, session, event.at_ms)
    elif session.stage in _LIVE:
        session.stage = Stage.ENDING
        session.ended_ms = event.at_ms
        session.dirty = True
        book.dirty.add(session)
    book.effects.append(AckEvent(runner, event.seq))


def _ended_by_runner(
    book: Book, session: Session, event: control.SessionEvent, now: Instant
) -> None:
    runner = session.runner
    reason, word = end_reason(event.reason or EndReason.COMPLETED)
    detail = event.detail or word
    if session.started_ms is None:
        session.started_ms = session.assigned_ms
    session.ended_ms = session.ended_ms or event.at_ms
    finish(book, session, reason, detail, now, by=runner, seq=event.seq, at_ms=event.at_ms)


def finish(
    book: Book,
    session: Session,
    reason: str,
    detail: str,
    now: Instant,
    *,
    by: Runner | None = None,
    seq: int = 0,
    at_ms: int | None = None,
) -> None:
    """The session's one end. Frees the slot and wakes the queue."""
    if session.stage is Stage.ENDED:
        return
    unanswered = session.stage is Stage.OFFERED
    if session.wanted_end is not None and reason != EndReason.RUNNER_LOST:
        reason, detail = session.wanted_end
    session.stage = Stage.ENDED
    session.end = (reason, detail)
    session.ended_ms = session.ended_ms or now.wall_ms
    session.torn_down_ms = at_ms or now.wall_ms
    runner = release(session)
    book.sessions.pop(session.session_id, None)
    book.dirty.discard(session)
    _count_end(session, now, unanswered=unanswered)
    book.effects.append(Ended(session, by, seq))
    book.effects.append(EndBridge(session.session_id, reason, detail))
    if runner is not None:
        refresh(book, runner, now)
        wake(book, runner.pool, now)


def _count_end(session: Session, now: Instant, *, unanswered: bool) -> None:
    pool = session.pool
    reason, detail = session.end or ("", "")
    counters = pool.counters
    counters.ended_for[reason] = counters.ended_for.get(reason, 0) + 1
    if reason == EndReason.RUNNER_LOST:
        counters.lost_for[detail] = counters.lost_for.get(detail, 0) + 1
    if unanswered:
        return
    counters.completions += 1
    began = session.started_ms or session.assigned_ms or session.requested.wall_ms
    length_ms = max(0, (session.ended_ms or now.wall_ms) - began)
    failed = reason in (EndReason.ERROR, EndReason.RUNNER_LOST, EndReason.START_TIMEOUT)
    pool.last_hour.add(now.mono, failed=failed, length_ms=length_ms)


def bridge_opened(book: Book, session: Session, attempt: int, now: Instant) -> None:
    """The runner dialled the session's bridge. It may come before the ack."""
    if session.attempt != attempt or session.runner is None:
        return
    session.bridge = Bridge.OPEN
    session.orphaned_at = None
    runner = session.runner
    if not runner.speaks_events and session.stage is Stage.ASSIGNED:
        activate(book, session, now.wall_ms)


def bridge_lost(book: Book, session: Session, attempt: int, *, clean: bool, now: Instant) -> None:
    """The bridge closed. For a runner that sends no events a clean close is the end.

    One of an earlier attempt means nothing any more.
    """
    runner = session.runner
    if runner is None or session.attempt != attempt:
        return
    session.bridge = Bridge.LOST
    if session.stage not in _LIVE:
        return
    if runner.speaks_events:
        if runner.socket is None:
            orphan(book, session, now)
        return
    if clean or session.wanted_end is not None:
        finish(book, session, EndReason.COMPLETED, "", now)
    else:
        orphan(book, session, now)


def grace_over(book: Book, session: Session, mark: object, now: Instant) -> None:
    if session.orphaned_at is None or session.orphaned_at != mark:
        return
    finish(book, session, EndReason.RUNNER_LOST, "runner_gone", now)


def request_end(book: Book, session: Session, reason: str, detail: str, now: Instant) -> None:
    """Somebody wants the session over: an operator, a limit, the caller. The first reason stays."""
    if session.stage not in _LIVE:
        return
    if session.wanted_end is None:
        session.wanted_end = (reason, detail)
    ask_to_end(book, session)
    book.timers.set(now.mono + book.limits.end_timeout_s, Alarm.END, session)


def ask_to_end(book: Book, session: Session) -> None:
    """Tell the runner that the session is to end, by whatever leads to it. Again after a socket
    was lost: the word may have gone with it."""
    runner = session.runner
    if runner is None or session.wanted_end is None:
        return
    reason, detail = session.wanted_end
    if features.VERBS in runner.features and runner.socket is not None:
        verb = control.Verb(
            verb_id=f"{session.job_id}.end", session_id=session.session_id, name="end",
            reason=reason,
        )  # fmt: skip
        book.effects.append(Send(runner, verb))
    elif session.bridge is Bridge.OPEN:
        book.effects.append(CloseBridge(session.session_id, reason, detail))
    elif runner.socket is not None:
        book.effects.append(Send(runner, control.JobCancel(job_id=session.job_id)))


def agent_ended(book: Book, session: Session, word: str, now: Instant) -> None:
    """The agent ended its own call: close the bridge, which is what it waits for."""
    if session.stage not in _LIVE:
        return
    reason, detail = end_reason(word)
    if session.wanted_end is None:
        session.wanted_end = (reason, detail)
    book.effects.append(CloseBridge(session.session_id, *session.wanted_end))
    book.timers.set(now.mono + book.limits.end_timeout_s, Alarm.END, session)


def end_overdue(book: Book, session: Session, now: Instant) -> None:
    """It was told to end and is still talking: cancel its job."""
    if session.stage not in (Stage.ASSIGNED, Stage.ACTIVE):
        return
    runner = session.runner
    if runner is not None and runner.socket is not None:
        book.effects.append(Send(runner, control.JobCancel(job_id=session.job_id)))
    book.timers.set(now.mono + book.limits.cancel_timeout_s, Alarm.CANCEL, session)


def cancel_overdue(book: Book, session: Session, now: Instant) -> None:
    """Not even the cancelled job went: give the session up, and the slot stays a ghost's."""
    if session.stage not in (Stage.ASSIGNED, Stage.ACTIVE):
        return
    runner = session.runner
    if runner is not None and runner.socket is not None and runner.speaks_events:
        runner.ghosts[session.job_id] = session.session_id
    reason, detail = session.wanted_end or (EndReason.TERMINATED, "")
    finish(book, session, reason, detail or "the runner did not end it", now)


def too_long(book: Book, session: Session, now: Instant) -> None:
    request_end(
        book, session, EndReason.MAX_DURATION, f"longer than {session.max_duration_s:g} s", now
    )
