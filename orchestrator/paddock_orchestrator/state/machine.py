"""The one door to the state of dispatch: a happening in, effects out.

Every method takes the happening and `now`, changes the book, and returns what is to be done. No
I/O, no clock, no task: the same object runs in production, in tests and in simulations.

Session: queued -> offered -> assigned -> active -> ending -> ended, where offered falls back to
queued or to another runner, and assigned, active and ending may be orphaned (no socket leads to
the session) for a grace period.
"""

from paddock.protocol import control
from paddock_orchestrator.dispatch.refusal import Reason, Refused
from paddock_orchestrator.state import living, placing, registry
from paddock_orchestrator.state.book import (
    Book,
    Declared,
    Instant,
    Limits,
    PoolKey,
    Runner,
    RunnerKey,
    Session,
    Stage,
)
from paddock_orchestrator.state.effects import Effect
from paddock_orchestrator.state.timers import Alarm


class Dispatcher:
    """Sessions, runners and queues of one orchestrator process."""

    def __init__(self, limits: Limits | None = None, *, boot: str = "") -> None:
        self.book = Book(limits)
        self.boot = boot

    def _done(self) -> list[Effect]:
        effects, self.book.effects = self.book.effects, []
        return effects

    @property
    def next_at(self) -> float | None:
        """When `tick` should be called next, if nothing else happens."""
        return self.book.timers.next_at

    def start(self, session: Session, now: Instant) -> list[Effect]:
        """A start that passed admission up to capacity. Answered by an `Answer` effect, once."""
        pool = session.pool
        if pool.closed:
            pool.counters.arrivals += 1
            placing.refuse(self.book, session, Refused(Reason.AGENT_CLOSED), now)
        elif pool.key not in self.book.pools:
            recovering = now.mono < self.book.recover_until
            reason = Reason.RECOVERING if recovering else Reason.UNKNOWN_AGENT
            placing.refuse(self.book, session, Refused(reason, 2 if recovering else 0), now)
        else:
            placing.start(self.book, session, now)
        return self._done()

    def caller_left(self, session_id: str, now: Instant) -> list[Effect]:
        session = self.book.sessions.get(session_id)
        if session is not None:
            placing.withdraw(self.book, session, "caller left before the answer", now)
        return self._done()

    def not_recorded(self, session: Session, now: Instant) -> list[Effect]:
        """The row could not be made durable: whoever holds the session is to let it go."""
        if session.session_id in self.book.sessions:
            placing.unrecorded(self.book, session, now)
        return self._done()

    def register(
        self, org: str, frame: control.Register, socket: int, now: Instant
    ) -> tuple[Runner, list[Effect]]:
        runner = registry.register(self.book, org, frame, socket, self.boot, now)
        return runner, self._done()

    def hear(self, runner: Runner, frame: control.FromRunner, now: Instant) -> list[Effect]:
        """Any later frame of a registered runner."""
        registry.spoke(self.book, runner, now)
        match frame:
            case control.JobAck():
                placing.acked(self.book, runner, frame, now)
            case control.SessionEvent():
                living.heard(self.book, runner, frame, now)
            case control.Heartbeat():
                registry.heartbeat(self.book, runner, frame, now)
            case control.DrainReport():
                registry.reported(self.book, runner, frame, now)
            case control.Bye():
                registry.left(self.book, runner, now)
            case control.VerbResult() | control.Register():
                pass
        return self._done()

    def socket_lost(self, runner: Runner, socket: int, now: Instant) -> list[Effect]:
        registry.socket_lost(self.book, runner, socket, now)
        return self._done()

    def bridge_opened(self, session_id: str, attempt: int, now: Instant) -> list[Effect]:
        """The bridge of this attempt is open."""
        session = self.book.sessions.get(session_id)
        if session is not None:
            living.bridge_opened(self.book, session, attempt, now)
        return self._done()

    def bridge_lost(
        self, session_id: str, attempt: int, *, clean: bool, now: Instant
    ) -> list[Effect]:
        """The bridge of this attempt closed."""
        session = self.book.sessions.get(session_id)
        if session is not None:
            living.bridge_lost(self.book, session, attempt, clean=clean, now=now)
        return self._done()

    def end(self, session_id: str, reason: str, detail: str, now: Instant) -> list[Effect]:
        """Ask for the end of a session, whoever holds it."""
        session = self.book.sessions.get(session_id)
        if session is not None:
            if session.stage in (Stage.QUEUED, Stage.OFFERED):
                placing.withdraw(self.book, session, detail or reason, now)
            else:
                living.request_end(self.book, session, reason, detail, now)
        return self._done()

    def agent_ended(self, session_id: str, reason: str, now: Instant) -> list[Effect]:
        """The agent asked for the end of its call, over the bridge."""
        session = self.book.sessions.get(session_id)
        if session is not None:
            living.agent_ended(self.book, session, reason, now)
        return self._done()

    def command(
        self,
        key: RunnerKey,
        frame: control.Drain | control.Serve,
        now: Instant,
        *,
        instance: str = "",
    ) -> tuple[bool, list[Effect]]:
        """`instance` is what the one that is meant begins with."""
        told = registry.command(self.book, key, frame, now, instance=instance)
        return told, self._done()

    def gone(self, key: RunnerKey, now: Instant, *, instance: str = "") -> list[Effect]:
        """The process of the runner whose instance begins with `instance` is known to be over."""
        runner = self.book.runners.get(key)
        if runner is not None and runner.instance.startswith(instance):
            registry.over(self.book, runner, now)
        return self._done()

    def declare(self, key: PoolKey, declared: Declared, now: Instant) -> list[Effect]:
        registry.declare(self.book, key, declared, now)
        return self._done()

    def renew(self, key: PoolKey, now: Instant) -> bool:
        return registry.renew(self.book, key, now)

    def recover(self, sessions: list[tuple[Session, str, str]], now: Instant) -> list[Effect]:
        registry.recover(self.book, sessions, now)
        return self._done()

    def sweep(self, now: Instant) -> list[Effect]:
        """Once a second."""
        registry.sweep(self.book, now)
        self._compact()
        return self._done()

    def _compact(self) -> None:
        """Let go of ended sessions whose deadlines are far off: a day of calls would pile up."""
        book = self.book
        if len(book.timers) > 1000 + 8 * len(book.sessions) + 8 * len(book.runners):
            book.timers.keep(
                lambda key: not isinstance(key, Session) or key.session_id in book.sessions
            )

    def tick(self, now: Instant) -> list[Effect]:
        """Fire what is due."""
        book = self.book
        for timer in book.timers.due(now.mono):
            key = timer.key
            if isinstance(key, Runner):
                placing.refresh(book, key, now)
                placing.wake(book, key.pool, now)
                continue
            if not isinstance(key, Session) or book.sessions.get(key.session_id) is not key:
                continue
            match timer.alarm:
                case Alarm.OFFER:
                    placing.offer_timed_out(book, key, timer.mark, now)
                case Alarm.WAIT:
                    placing.wait_timed_out(book, key, now)
                case Alarm.GRACE:
                    living.grace_over(book, key, timer.mark, now)
                case Alarm.DURATION:
                    living.too_long(book, key, now)
                case Alarm.END:
                    living.end_overdue(book, key, now)
                case Alarm.CANCEL:
                    living.cancel_overdue(book, key, now)
                case Alarm.WAKE:
                    pass
        return self._done()
