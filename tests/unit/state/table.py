"""Short steps for tests of dispatch that go through one situation each."""

from typing import Any

from paddock.protocol import control, features
from paddock_orchestrator.state import effects as fx
from paddock_orchestrator.state.book import Declared, Instant, Limits, Runner, Session
from paddock_orchestrator.state.machine import Dispatcher

ORG = "org"
KEY = (ORG, "desk")


class Table:
    """A dispatcher and its clock. Every step checks the book and returns the effects."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.dispatcher = Dispatcher(limits, boot="boot")
        self.now = 100.0
        self.sockets = 0
        self.starts = 0

    @property
    def at(self) -> Instant:
        return Instant(self.now, int(self.now * 1000))

    @property
    def book(self) -> Any:
        return self.dispatcher.book

    def checked(self, effects: list[fx.Effect]) -> list[fx.Effect]:
        self.book.validate()
        return effects

    def runner(
        self,
        name: str = "a",
        capacity: int = 1,
        *,
        v2: bool = False,
        instance: str = "one",
        held: list[control.HeldSession] | None = None,
        **given: Any,
    ) -> tuple[Runner, list[fx.Effect]]:
        """Register on a new socket."""
        self.sockets += 1
        options: dict[str, Any] = (
            {} if v2 else {"features": list(features.ALL), "instance": instance}
        )
        frame = control.Register(
            worker_id=name,
            pool="desk",
            capabilities=control.Capabilities(
                max_concurrent=capacity,
                agent_id="desk",
                permits_per_minute=given.pop("permits", None),
                **options,
            ),
            sessions=held or [],
            **given,
        )
        runner, effects = self.dispatcher.register(ORG, frame, self.sockets, self.at)
        return runner, self.checked(effects)

    def start(self) -> tuple[Session, list[fx.Effect]]:
        self.starts += 1
        pool = self.book.find_pool(KEY)
        session = Session(f"s{self.starts}", pool, self.at, 7200.0, b"{}", b"{}")
        return session, self.checked(self.dispatcher.start(session, self.at))

    def hear(self, runner: Runner, frame: control.FromRunner) -> list[fx.Effect]:
        return self.checked(self.dispatcher.hear(runner, frame, self.at))

    def ack(self, session: Session, accepted: bool = True, **given: Any) -> list[fx.Effect]:
        assert session.runner is not None
        frame = control.JobAck(job_id=session.job_id, accepted=accepted, **given)
        return self.hear(session.runner, frame)

    def event(self, runner: Runner, session: Session, kind: Any, seq: int = 1) -> list[fx.Effect]:
        frame = control.SessionEvent(
            seq=seq, session_id=session.session_id, attempt=session.attempt, kind=kind, at_ms=0
        )
        return self.hear(runner, frame)

    def begun(self, runner: Runner) -> Session:
        """A session that the runner has accepted and that its bridge is open for."""
        session, _ = self.start()
        self.ack(session)
        assert session.runner is runner
        self.checked(self.dispatcher.bridge_opened(session.session_id, session.attempt, self.at))
        if runner.speaks_events:
            self.event(runner, session, "active")
        return session

    def declare(self, **given: Any) -> list[fx.Effect]:
        return self.checked(self.dispatcher.declare(KEY, Declared(**given), self.at))

    def passes(self, seconds: float) -> list[fx.Effect]:
        """Time passes with everybody silent."""
        effects: list[fx.Effect] = []
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + 0.5)
            effects += self.checked(self.dispatcher.tick(self.at))
            effects += self.checked(self.dispatcher.sweep(self.at))
        return effects


def frames(effects: list[fx.Effect], kind: type[Any]) -> list[Any]:
    """The frames of this kind that were sent."""
    return [e.frame for e in effects if isinstance(e, fx.Send) and isinstance(e.frame, kind)]


def only(effects: list[fx.Effect], kind: type[Any]) -> list[Any]:
    return [e for e in effects if isinstance(e, kind)]


def held(session: Session, state: Any = "active") -> control.HeldSession:
    return control.HeldSession(session_id=session.session_id, attempt=session.attempt, state=state)
