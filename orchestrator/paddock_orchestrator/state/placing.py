"""From an admitted start to a runner that holds it: queue, reserve, offer, retry elsewhere.

The slot is reserved before the offer is sent. An offer that is refused frees it at once; one that
is not answered leaves a *ghost* on the runner, which keeps the slot until the runner says what
became of it: that is what keeps a runner within its capacity under any interleaving.
"""

from paddock.protocol import control
from paddock.protocol.words import EndReason, Refusal
from paddock_orchestrator.dispatch.refusal import Attempt, Reason, Refused, retry_after_s
from paddock_orchestrator.state.book import (
    Book,
    Bridge,
    Instant,
    Pool,
    Runner,
    Session,
    Stage,
)
from paddock_orchestrator.state.effects import (
    Answer,
    EndBridge,
    Ended,
    Note,
    Offer,
    QueueChanged,
    Send,
)
from paddock_orchestrator.state.presence import activate, orphan
from paddock_orchestrator.state.timers import Alarm

_INTERNAL_WINDOW_S = 60.0
_INTERNAL_LIMIT = 3


def refresh(book: Book, runner: Runner, now: Instant) -> None:
    """Put the runner into its pool's placement index, or take it out, as its state says."""
    index = runner.pool.index
    used = runner.used
    if (
        runner.socket is None
        or runner.draining
        or runner.suspect
        or runner.wait_for_heartbeat
        or used >= runner.capacity
    ):
        index.discard(runner.runner_id)
        return
    due = max(0.0, runner.benched_until - now.mono)
    if runner.permits is not None:
        due = max(due, runner.permits.due_in(now.mono))
    if due > 0.0:
        index.discard(runner.runner_id)
        book.timers.set(now.mono + due + 1e-6, Alarm.WAKE, runner)
        return
    index.put(runner.runner_id, used=used, capacity=runner.capacity, order=runner.order)


def start(book: Book, session: Session, now: Instant) -> None:
    """A start that passed its key, its rate limit and the idempotency check."""
    pool = session.pool
    pool.counters.arrivals += 1
    book.sessions[session.session_id] = session
    if not pool.waiting and _place(book, session, now):
        return
    refused = _may_wait(book, pool, now)
    if refused is not None:
        refuse(book, session, refused, now)
        return
    limit_s = pool.declared.queue_timeout_s
    session.wait_until = now.mono + limit_s
    _enqueue(book, session, front=False)
    book.timers.set(session.wait_until, Alarm.WAIT, session)


def _may_wait(book: Book, pool: Pool, now: Instant) -> Refused | None:
    """None when the start may wait for a slot; otherwise why not."""
    ahead = len(pool.waiting)
    declared, live = pool.declared, pool.live(now.mono)
    after_s = retry_after_s(ahead, ends_per_s(pool, now))
    if ahead >= declared.max_queued:
        return Refused(Reason.QUEUE_FULL, after_s)
    if live and declared.wait_at_maximum:
        return None
    if live and declared.growable and pool.in_flight + ahead < declared.max_slots:
        return None
    connected = [r for r in pool.runners.values() if r.socket is not None]
    serving = [r for r in connected if not r.draining]
    if any(_soon(r, now, declared.queue_timeout_s) for r in serving):
        free = sum(r.capacity - r.used for r in serving)
        if ahead < free:
            return None
    if now.mono < book.recover_until and not serving:
        return Refused(Reason.RECOVERING, 2)
    if not connected and not live:
        return Refused(Reason.NO_RUNNERS, 5)
    if connected and not serving and not live:
        return Refused(Reason.DRAINING, 5)
    return Refused(Reason.AT_CAPACITY, after_s)


def _soon(runner: Runner, now: Instant, within_s: float) -> bool:
    """Whether a runner with a free slot is only held back for a moment."""
    if runner.used >= runner.capacity:
        return False
    due = runner.benched_until - now.mono
    if runner.permits is not None:
        due = max(due, runner.permits.due_in(now.mono))
    return due < within_s


def ends_per_s(pool: Pool, now: Instant) -> float:
    """Sessions ended per second over the last minute: how fast slots come free."""
    return pool.last_hour.since(now.mono - 60.0) / 60.0


def _enqueue(book: Book, session: Session, *, front: bool) -> None:
    pool = session.pool
    session.stage = Stage.QUEUED
    session.waited = True
    if front:
        pool.waiting.appendleft(session)
    else:
        pool.waiting.append(session)
    book.effects.append(QueueChanged(pool.key, left_zero=len(pool.waiting) == 1))


def _place(book: Book, session: Session, now: Instant) -> bool:
    """Reserve a slot and send the offer; False when no runner is available."""
    pool = session.pool
    tried = {a.runner_id for a in session.refused_by} if session.refused_by else ()
    name = pool.index.best(tried)
    if name is None and tried:
        name = pool.index.best()
    if name is None:
        return False
    runner = pool.runners[name]
    if runner.permits is not None:
        runner.permits.take(now.mono)
    session.attempt += 1
    session.runner = runner
    session.last_runner_id, session.last_instance = runner.runner_id, runner.instance
    session.stage = Stage.OFFERED
    session.bridge = Bridge.NONE
    runner.held[session.session_id] = session
    refresh(book, runner, now)
    timeout_s = book.limits.offer_timeout_s
    if session.waited:
        timeout_s = max(0.2, min(timeout_s, session.wait_until - now.mono))
    session.assigned_ms = now.wall_ms
    book.effects.append(Offer(session, timeout_s))
    session.recorded = True
    book.timers.set(now.mono + timeout_s, Alarm.OFFER, session, session.attempt)
    return True


def wake(book: Book, pool: Pool, now: Instant) -> None:
    """Something may have become free: offer to the waiting, first come first."""
    waiting = pool.waiting
    if not waiting:
        return
    before = len(waiting)
    while waiting:
        session = waiting.popleft()
        if not _place(book, session, now):
            waiting.appendleft(session)
            break
    if len(waiting) != before:
        book.effects.append(QueueChanged(pool.key, left_zero=False))


def acked(book: Book, runner: Runner, ack: control.JobAck, now: Instant) -> None:
    """A runner's answer to an offer, in time or late, to this attempt or an older one."""
    session_id, _, attempt = ack.job_id.rpartition(".")
    session = book.sessions.get(session_id)
    if (
        session is not None
        and session.runner is runner
        and str(session.attempt) == attempt
        and ack.assign_id in ("", session.job_id)
    ):
        if session.stage is Stage.OFFERED:
            if ack.accepted:
                accepted(book, session, now)
            else:
                _refused_by(book, session, runner, ack, now)
        return
    if not ack.accepted:
        if runner.ghosts.pop(ack.job_id, None) is not None:
            refresh(book, runner, now)
            wake(book, runner.pool, now)
        return
    book.effects.append(Send(runner, control.JobCancel(job_id=ack.job_id)))
    if ack.job_id not in runner.ghosts:
        return
    if not runner.speaks_events:
        del runner.ghosts[ack.job_id]
        runner.wait_for_heartbeat = True
        refresh(book, runner, now)


def accepted(book: Book, session: Session, now: Instant) -> None:
    """The runner has it: its ack says so, or it lists it after its ack was lost."""
    session.stage = Stage.ASSIGNED
    session.assigned_ms = now.wall_ms
    counters = session.pool.counters
    counters.answered += 1
    if now.mono - session.requested.mono > book.limits.late_after_s:
        counters.late += 1
    if session.max_duration_s > 0:
        book.timers.set(now.mono + session.max_duration_s, Alarm.DURATION, session)
    runner = session.runner
    if runner is not None and not runner.speaks_events:
        # Its bridge is all that will tell of the call: it is open already, or must come in time.
        if session.bridge is Bridge.OPEN:
            activate(book, session, now.wall_ms)
        else:
            orphan(book, session, now)
    book.effects.append(Answer(session))
    told: dict[str, object] = {
        "runner": session.last_runner_id,
        "attempt": session.attempt,
        "waited_ms": now.wall_ms - session.requested.wall_ms,
    }
    pool = session.pool
    book.effects.append(Note(pool.org, "session.started", pool.agent, session.session_id, told))


def _refused_by(
    book: Book, session: Session, runner: Runner, ack: control.JobAck, now: Instant
) -> None:
    reason = ack.reason or Refusal.INTERNAL
    session.refused_by = (*session.refused_by, Attempt(runner.runner_id, reason))
    if reason != Refusal.DRAINING:
        session.counted_attempts += 1
    release(session)
    _hold_back(book, runner, reason, ack.retry_after_ms, now)
    refresh(book, runner, now)
    retry(book, session, now)


def _hold_back(
    book: Book, runner: Runner, reason: str, retry_after_ms: int | None, now: Instant
) -> None:
    """What a refusal says about the runner's next offers."""
    after_s = (retry_after_ms or 0) / 1000.0
    if reason == Refusal.AT_CAPACITY:
        runner.wait_for_heartbeat = True
    elif reason == Refusal.DRAINING:
        runner.draining = True
    elif reason == Refusal.START_RATE:
        runner.benched_until = now.mono + max(after_s, 0.1)
    elif reason == Refusal.AGENT_ID_MISMATCH:
        runner.benched_until = now.mono + 10 * book.limits.bench_s
    else:
        failures = runner.failures
        failures.append(now.mono)
        while failures and failures[0] < now.mono - _INTERNAL_WINDOW_S:
            failures.popleft()
        if len(failures) >= _INTERNAL_LIMIT:
            runner.benched_until = now.mono + book.limits.bench_s
            failures.clear()


def release(session: Session) -> Runner | None:
    """Free the slot the session holds. An open bridge of an offer that failed is not wanted."""
    runner, session.runner = session.runner, None
    if runner is not None:
        runner.held.pop(session.session_id, None)
    return runner


def retry(book: Book, session: Session, now: Instant) -> None:
    """The session's offer failed and its slot is free again: another runner, the queue, or 504."""
    pool = session.pool
    if session.bridge is not Bridge.NONE:
        # The runner that may not have it any more dialled before its answer came.
        book.effects.append(EndBridge(session.session_id, EndReason.CANCELLED, "offer withdrawn"))
        session.bridge = Bridge.NONE
    if session.counted_attempts >= book.limits.max_attempts:
        refuse(book, session, Refused(Reason.START_TIMEOUT, 1, session.refused_by), now)
        return
    if not session.wait_until:
        session.wait_until = now.mono + pool.declared.queue_timeout_s
        book.timers.set(session.wait_until, Alarm.WAIT, session)
    if _place(book, session, now):
        return
    if now.mono >= session.wait_until:
        refuse(book, session, Refused(Reason.START_TIMEOUT, 1, session.refused_by), now)
        return
    connected = any(r.socket is not None and not r.draining for r in pool.runners.values())
    if connected or pool.live(now.mono) or now.mono < book.recover_until:
        _enqueue(book, session, front=True)
        return
    reason = Reason.START_TIMEOUT if session.counted_attempts else Reason.DRAINING
    refuse(book, session, Refused(reason, 1, session.refused_by), now)


def offer_timed_out(book: Book, session: Session, attempt: object, now: Instant) -> None:
    """No answer within the deadline: the runner is suspect until it speaks, and keeps a ghost."""
    runner = session.runner
    if session.stage is not Stage.OFFERED or session.attempt != attempt or runner is None:
        return
    runner.ghosts[session.job_id] = session.session_id
    runner.suspect = True
    book.effects.append(Send(runner, control.JobCancel(job_id=session.job_id)))
    session.refused_by = (*session.refused_by, Attempt(runner.runner_id, "timeout"))
    session.counted_attempts += 1
    release(session)
    refresh(book, runner, now)
    retry(book, session, now)


def wait_timed_out(book: Book, session: Session, now: Instant) -> None:
    """The start has waited as long as it may."""
    if session.stage is not Stage.QUEUED or session.session_id not in book.sessions:
        return
    pool = session.pool
    if session.refused_by:
        refuse(book, session, Refused(Reason.START_TIMEOUT, 1, session.refused_by), now)
    elif any(r.socket is not None for r in pool.runners.values()):
        after_s = retry_after_s(len(pool.waiting), ends_per_s(pool, now))
        refuse(book, session, Refused(Reason.QUEUE_TIMEOUT, after_s), now)
    else:
        refuse(book, session, Refused(Reason.NO_RUNNERS, 5), now)


def refuse(book: Book, session: Session, refused: Refused, now: Instant) -> None:
    """The caller gets no session."""
    counters = session.pool.counters
    counters.refusals += 1
    counters.refused_for[refused.reason] = counters.refused_for.get(refused.reason, 0) + 1
    if session.waited or session.wait_until:
        counters.late += 1
    book.effects.append(Answer(session, refused))
    _gone(book, session, EndReason.START_TIMEOUT, refused.reason, now)


def withdraw(book: Book, session: Session, detail: str, now: Instant) -> None:
    """A start is given up before it was answered."""
    if session.stage not in (Stage.QUEUED, Stage.OFFERED):
        return
    runner = session.runner
    if runner is not None:
        runner.ghosts[session.job_id] = session.session_id
        book.effects.append(Send(runner, control.JobCancel(job_id=session.job_id)))
        release(session)
    session.pool.counters.late += 1
    book.effects.append(Answer(session, Refused(Reason.CANCELLED)))
    _gone(book, session, EndReason.CANCELLED, detail, now)
    if runner is not None:
        refresh(book, runner, now)


def unrecorded(book: Book, session: Session, now: Instant) -> None:
    """Its row could not be made durable, so it must not live: whoever holds it lets it go."""
    runner = session.runner
    if runner is not None:
        if runner.speaks_events or session.stage is Stage.OFFERED:
            runner.ghosts[session.job_id] = session.session_id
        else:
            runner.wait_for_heartbeat = True
        if runner.socket is not None:
            book.effects.append(Send(runner, control.JobCancel(job_id=session.job_id)))
        release(session)
    refuse(book, session, Refused(Reason.STORE_UNAVAILABLE, 5), now)
    if runner is not None:
        refresh(book, runner, now)


def _gone(book: Book, session: Session, reason: EndReason, detail: str, now: Instant) -> None:
    """The session ends without ever having been answered."""
    pool = session.pool
    if session.stage is Stage.QUEUED and session in pool.waiting:
        pool.waiting.remove(session)
        book.effects.append(QueueChanged(pool.key, left_zero=False))
    session.stage = Stage.ENDED
    session.end = (reason, detail)
    session.refused = True
    session.ended_ms = session.torn_down_ms = now.wall_ms
    book.sessions.pop(session.session_id, None)
    book.dirty.discard(session)
    if session.recorded:
        book.effects.append(Ended(session))
        book.effects.append(EndBridge(session.session_id, reason, detail))
