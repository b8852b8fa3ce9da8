"""Runners: registration and what they hold, liveness, drain commands, declared pools, recovery."""

from paddock.protocol import closing, control, features
from paddock.protocol.codec import ProtocolError
from paddock.protocol.permits import Permits
from paddock.protocol.words import EndReason, Mode, SessionState
from paddock_orchestrator.dispatch.placement import PlacementIndex
from paddock_orchestrator.dispatch.refusal import Attempt
from paddock_orchestrator.state.acks import Acks
from paddock_orchestrator.state.book import (
    KEEP_POOLS,
    Book,
    Bridge,
    Declared,
    Instant,
    Pool,
    PoolKey,
    Runner,
    RunnerKey,
    Session,
    Stage,
)  # fmt: skip
from paddock_orchestrator.state.effects import CloseSocket, Note, Send
from paddock_orchestrator.state.living import ask_to_end, finish
from paddock_orchestrator.state.placing import accepted, refresh, release, retry, wake
from paddock_orchestrator.state.presence import activate, orphan
from paddock_orchestrator.state.timers import Alarm


def register(
    book: Book, org: str, frame: control.Register, socket: int, boot: str, now: Instant
) -> Runner:
    """A runner's first frame on a new socket: the newest socket wins, its calls stay its own."""
    caps = frame.capabilities
    pool = book.pool((org, frame.pool))
    runner = book.runners.get((org, frame.worker_id))
    if runner is not None and runner.pool is not pool:
        if runner.socket is not None or runner.held:
            used_by = f"a name that no live runner of {runner.pool.agent!r} has"
            raise ProtocolError("worker_id", frame.worker_id, used_by)
        _forget(book, runner, now)
        runner = None
    if runner is None:
        runner = Runner(org, frame.worker_id, pool, book.next_order())
        book.runners[runner.key] = runner
        pool.runners[runner.runner_id] = runner
    if runner.socket is not None:
        book.effects.append(CloseSocket(runner.socket, closing.SUPERSEDED, "newer socket"))
    restarted = bool(runner.instance and caps.instance and runner.instance != caps.instance)
    first = runner.instance != caps.instance or not runner.instance
    if restarted:
        runner.report, runner.drain_epoch, runner.told, runner.acks = None, 0, None, Acks()
    if first:
        runner.registered_ms = now.wall_ms
        if caps.startup_ms is not None:
            last = pool.startups_ms[-1][0] if pool.startups_ms else 0
            pool.startups_ms.append((last + 1, caps.startup_ms))
    runner.socket = socket
    runner.instance = caps.instance
    runner.features = frozenset(caps.features)
    runner.capacity = max(0, caps.max_concurrent)
    runner.revision = caps.revision
    runner.startup_ms = caps.startup_ms
    runner.drain_epoch = max(runner.drain_epoch, frame.drain_epoch)
    runner.draining = frame.draining or (runner.draining and not runner.obeying)
    runner.suspect = False
    runner.wait_for_heartbeat = False
    runner.disconnected_at = None
    runner.last_seen = now.mono
    runner.ghosts.clear()
    if not runner.speaks_events:
        runner.reported = 0
    per_minute = caps.permits_per_minute
    if per_minute is None:
        runner.permits = None
    elif runner.permits is None or runner.permits.limit != per_minute:
        runner.permits = Permits(max(0, per_minute), 60.0)
    _welcome(book, runner, boot)
    if runner.instance and runner.instance in book.over:
        runner.told = control.Drain(drain_epoch=runner.drain_epoch + 1, reason="RunnerGone")
        runner.draining = True
    if runner.told is not None and not runner.obeying and features.DRAIN in runner.features:
        book.effects.append(Send(runner, runner.told))
    _reconcile(book, runner, frame.sessions, restarted=restarted, now=now)
    refresh(book, runner, now)
    wake(book, pool, now)
    return runner


def _welcome(book: Book, runner: Runner, boot: str) -> None:
    beat = book.limits.heartbeat_s
    if runner.features:
        known = [f for f in features.ALL if f in runner.features]
        frame: control.Welcomed | control.Registered = control.Welcomed(
            heartbeat_interval_s=beat, transport_ack=control.DIAL_OUT, features=known, boot=boot
        )
    else:
        frame = control.Registered(heartbeat_interval_s=beat, transport_ack=control.DIAL_OUT)
    book.effects.append(Send(runner, frame))
    if features.QUEUED in runner.features and runner.pool.waiting:
        book.effects.append(Send(runner, control.PoolQueued(queued=len(runner.pool.waiting))))


def _reconcile(
    book: Book,
    runner: Runner,
    listed: list[control.HeldSession],
    *,
    restarted: bool,
    now: Instant,
) -> None:
    """Compare what the runner says it holds with what we think it holds."""
    by_job = {f"{held.session_id}.{held.attempt}": held for held in listed}
    missing = []
    for session in runner.held.values():
        held = by_job.pop(session.job_id, None)
        if held is not None and not restarted:
            _found(book, session, held, now)
        elif runner.speaks_events or restarted or session.stage is Stage.OFFERED:
            missing.append(session)
    # What it holds besides is counted before anything is offered to it.
    for held in by_job.values():
        if held.state is not SessionState.ENDED:
            _cancel(book, runner, held)
    for session in missing:
        _missing(book, session, "runner_restarted" if restarted else "runner_forgot", now)


def _cancel(book: Book, runner: Runner, held: control.HeldSession) -> None:
    """The runner holds something that is not its to run. It keeps the slot until it is gone."""
    job_id = f"{held.session_id}.{held.attempt}"
    runner.ghosts[job_id] = held.session_id
    book.effects.append(Send(runner, control.JobCancel(job_id=job_id)))


def _found(book: Book, session: Session, held: control.HeldSession, now: Instant) -> None:
    session.orphaned_at = None
    if session.stage is Stage.OFFERED:
        accepted(book, session, now)
    if held.state in (SessionState.ACTIVE, SessionState.ENDING):
        activate(book, session, now.wall_ms)
    if held.state is SessionState.ENDING:
        session.stage = Stage.ENDING
    elif session.wanted_end is not None:
        ask_to_end(book, session)


def _missing(book: Book, session: Session, kind: str, now: Instant) -> None:
    if session.stage is Stage.OFFERED:
        _offer_failed(book, session, "runner lost", now)
    else:
        finish(book, session, EndReason.RUNNER_LOST, kind, now)


def _offer_failed(book: Book, session: Session, why: str, now: Instant) -> None:
    runner = release(session)
    if runner is not None:
        session.refused_by = (*session.refused_by, Attempt(runner.runner_id, why))
        refresh(book, runner, now)
    session.counted_attempts += 1
    retry(book, session, now)


def heartbeat(book: Book, runner: Runner, frame: control.Heartbeat, now: Instant) -> None:
    runner.wait_for_heartbeat = False
    runner.reported = frame.active_jobs
    if runner.speaks_events and (runner.obeying or frame.draining):
        runner.draining = frame.draining
    refresh(book, runner, now)
    wake(book, runner.pool, now)


def spoke(book: Book, runner: Runner, now: Instant) -> None:
    """Any frame proves the runner alive."""
    runner.last_seen = now.mono
    if runner.suspect:
        runner.suspect = False
        refresh(book, runner, now)
        wake(book, runner.pool, now)


def socket_lost(book: Book, runner: Runner, socket: int, now: Instant) -> None:
    """The control socket closed. Offers move on at once; calls have sockets of their own."""
    if runner.socket != socket:
        return
    runner.socket = None
    runner.disconnected_at = now.mono
    runner.ghosts.clear()
    refresh(book, runner, now)
    for session in list(runner.held.values()):
        if session.stage is Stage.OFFERED:
            _offer_failed(book, session, "socket lost", now)
        elif session.bridge is not Bridge.OPEN:
            orphan(book, session, now)


def left(book: Book, runner: Runner, now: Instant) -> None:
    """The runner said good-bye and holds nothing: it is not waited for."""
    if runner.socket is not None:
        book.effects.append(CloseSocket(runner.socket, closing.NORMAL, "bye"))
        runner.socket = None
    runner.draining = True
    refresh(book, runner, now)
    _forget(book, runner, now)


def over(book: Book, runner: Runner, now: Instant) -> None:
    """Its reconciler says that its process is over. It may live all the same: a pod is given up
    with its node, which may only be away."""
    if runner.instance:
        book.over.append(runner.instance)
    left(book, runner, now)


def sweep(book: Book, now: Instant) -> None:
    """Once a second: who has gone silent, and who has been away for good."""
    limits = book.limits
    for runner in list(book.runners.values()):
        silent_s = now.mono - runner.last_seen
        if runner.socket is not None:
            if silent_s >= limits.drop_after_s:
                book.effects.append(
                    CloseSocket(runner.socket, closing.GOING_AWAY, "no sign of life")
                )
                socket_lost(book, runner, runner.socket, now)
            elif silent_s >= limits.suspect_after_s and not runner.suspect:
                runner.suspect = True
                refresh(book, runner, now)
        elif not runner.held and silent_s >= limits.orphan_grace_s:
            _forget(book, runner, now)


def _forget(book: Book, runner: Runner, now: Instant) -> None:
    if runner.socket is not None:
        book.effects.append(CloseSocket(runner.socket, closing.SUPERSEDED, "registered anew"))
        runner.socket = None
    for session in list(runner.held.values()):
        _missing(book, session, "runner_gone", now)
    refresh(book, runner, now)
    book.runners.pop(runner.key, None)
    pool = runner.pool
    pool.runners.pop(runner.runner_id, None)
    if len(book.pools) > KEEP_POOLS and not pool.was_used:
        book.pools.pop(pool.key, None)


def reported(book: Book, runner: Runner, frame: control.DrainReport, now: Instant) -> None:
    """A barrier report: kept as the runner's word and passed on, never answered for."""
    runner.report = (frame.drain_epoch, frame.mode, frame.booked)
    runner.drain_epoch = max(runner.drain_epoch, frame.drain_epoch)
    if runner.obeying and frame.drain_epoch == runner.drain_epoch:
        runner.draining = frame.mode is Mode.DRAIN
    refresh(book, runner, now)
    wake(book, runner.pool, now)


def command(
    book: Book,
    key: RunnerKey,
    frame: control.Drain | control.Serve,
    now: Instant,
    *,
    instance: str = "",
) -> bool:
    """Relay the reconciler's drain or serve; False when the runner cannot be told now.

    Names are used again, and epochs of one runner mean nothing to the next of its name: what is
    meant for an instance that begins with `instance` goes to no other.
    A drained runner gets nothing from this instant on; one that is to serve again gets something
    only after its own word.
    """
    runner = book.runners.get(key)
    if runner is None or runner.socket is None or features.DRAIN not in runner.features:
        return False
    if frame.drain_epoch < runner.told_epoch or not runner.instance.startswith(instance):
        return False
    runner.told = frame
    if isinstance(frame, control.Drain):
        runner.draining = True
        refresh(book, runner, now)
    book.effects.append(Send(runner, frame))
    return True


def declare(book: Book, key: PoolKey, declared: Declared, now: Instant) -> Pool:
    """The reconciler's word about its pool, good for `pool_ttl_s`."""
    pool = book.pool(key)
    previous = pool.declared
    if declared.placement is not previous.placement:
        pool.index = PlacementIndex(declared.placement)
        pool.declared = declared
        for runner in pool.runners.values():
            refresh(book, runner, now)
    if declared.desired != previous.desired:
        book.effects.append(
            Note(
                pool.org,
                "pool.decided",
                pool.agent,
                None,
                {"desired": declared.desired, "reason": declared.reason},
            )
        )
    pool.declared = declared
    pool.declared_until = now.mono + book.limits.pool_ttl_s
    wake(book, pool, now)
    return pool


def renew(book: Book, key: PoolKey, now: Instant) -> bool:
    """Let the declaration be good anew; False where none is, or the agent was deleted."""
    pool = book.pools.get(key)
    if pool is None or pool.closed or not pool.live(now.mono):
        return False
    pool.declared_until = now.mono + book.limits.pool_ttl_s
    return True


def recover(book: Book, sessions: list[tuple[Session, str, str]], now: Instant) -> None:
    """After a restart: open sessions wait, orphaned, for the runners that held them."""
    book.recover_until = now.mono + book.limits.orphan_grace_s
    for session, runner_id, instance in sessions:
        pool = session.pool
        key = (pool.org, runner_id)
        runner = book.runners.get(key)
        if runner is None:
            runner = Runner(pool.org, runner_id, pool, book.next_order(), instance=instance)
            runner.last_seen = now.mono
            runner.disconnected_at = now.mono
            if instance:
                # Only runners that send events name their process.
                runner.features = frozenset({features.EVENTS})
            book.runners[key] = runner
            pool.runners[runner_id] = runner
        session.runner = runner
        session.last_runner_id, session.last_instance = runner_id, instance
        session.recorded = True
        runner.held[session.session_id] = session
        book.sessions[session.session_id] = session
        orphan(book, session, now)
        lasted_s = (now.wall_ms - (session.assigned_ms or now.wall_ms)) / 1000.0
        if session.max_duration_s > 0:
            left_s = max(0.0, session.max_duration_s - lasted_s)
            book.timers.set(now.mono + left_s, Alarm.DURATION, session)
