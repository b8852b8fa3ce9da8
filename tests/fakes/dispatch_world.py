"""A whole deployment in memory: the real dispatcher, simulated runners, network, disk and clock.

It carries out effects as the orchestrator's shell does, and remembers what callers were told.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, cast

from fakes.sim_runner import Job, PaddockRunner, SimRunner, V2Runner
from fakes.wires import Wire
from paddock.protocol import control
from paddock_orchestrator.dispatch.refusal import Reason, Refused
from paddock_orchestrator.recovery import reopen
from paddock_orchestrator.state import effects as fx
from paddock_orchestrator.state.acks import Acks
from paddock_orchestrator.state.book import Instant, Limits, Runner, Session
from paddock_orchestrator.state.machine import Dispatcher
from paddock_orchestrator.store.records import SessionRow
from paddock_orchestrator.store.store import Store

ORG = "org"
LIMITS = Limits()
EPOCH_MS = 1_700_000_000_000


@dataclass(eq=False)
class Write:
    """A record on its way to the disk."""

    session: Session
    row: SessionRow
    runner: Runner | None = None
    acks: Acks | None = None
    seq: int = 0

    @property
    def is_end(self) -> bool:
        return self.row.torn_down_ms is not None


@dataclass(eq=False)
class Told:
    """What became of one start."""

    answers: list[Refused | None] = field(default_factory=list)
    ends: int = 0
    """Ended effects whose record was not lost in a crash."""
    given: bool = False
    """The caller has its 200: accepted and durable."""
    lost_start: bool = False
    """Its caller waited on a process that died."""
    newest: Write | None = None
    durable: bool = False
    failed: bool = False


@dataclass(eq=False)
class Line:
    """The orchestrator's end of a bridge."""

    attempt: int
    job: Job
    runner: SimRunner


class _Disk:
    """As much of a store as recovery reads."""

    def __init__(self, rows: list[SessionRow]) -> None:
        self._rows = rows

    async def settings_under(self, prefix: str) -> dict[str, bytes]:
        return {}

    async def open_sessions(self) -> list[SessionRow]:
        return self._rows

    async def setting(self, name: str) -> bytes | None:
        return None


class World:
    def __init__(self, runners: list[SimRunner]) -> None:
        self.runners = runners
        self.now = 1000.0
        self.boots = 1
        self.wires: dict[int, tuple[Wire, SimRunner]] = {}
        self.registered: dict[int, Runner] = {}
        self.dispatcher = Dispatcher(LIMITS, boot="1")
        self.told: dict[str, Told] = {}
        self.disk: dict[str, SessionRow] = {}
        self.writes: deque[Write] = deque()
        self.unsaved: list[Write] = []
        self.lines: dict[str, Line] = {}
        self.notices: deque[tuple[str, int, bool]] = deque()
        """Closed bridges that the orchestrator has not noticed: (session, attempt, clean)."""
        self._numbers = 0
        self._next_sweep = self.now

    @property
    def at(self) -> Instant:
        return Instant(self.now, EPOCH_MS + int(self.now * 1000))

    @property
    def book(self) -> Any:
        return self.dispatcher.book

    # -- the orchestrator's shell -----------------------------------------------------------

    def apply(self, effects: list[fx.Effect]) -> None:
        for effect in effects:
            match effect:
                case fx.Send(runner, frame):
                    self._send(runner, frame)
                case fx.CloseSocket(socket):
                    self._close(socket)
                case fx.Offer(session, timeout_s):
                    self._offer(session, timeout_s)
                case fx.Answer(session, refused):
                    self.told[session.session_id].answers.append(refused)
                    self._try_answer(session)
                case fx.Ended(session, runner, seq):
                    self._ended(session, runner, seq)
                case fx.AckEvent(runner, seq):
                    self._acknowledge(runner, runner.acks, runner.acks.heard(seq, durable=True))
                case fx.EndBridge(session_id) | fx.CloseBridge(session_id):
                    self._close_bridge(session_id, drop=isinstance(effect, fx.EndBridge))
                case fx.Note() | fx.QueueChanged():
                    pass

    def _send(self, runner: Runner, frame: Any) -> None:
        if runner.socket is not None and runner.socket in self.wires:
            self.wires[runner.socket][0].to_runner(frame)

    def _close(self, socket: int) -> None:
        if socket in self.wires:
            wire = self.wires[socket][0]
            wire.to_runner(None)
            wire.server_knows = True

    def _row(self, session: Session) -> SessionRow:
        stage = session.stage.value
        return SessionRow(
            session_id=session.session_id, org_id=ORG, agent="desk",
            state="assigned" if stage == "offered" else stage, attempt=session.attempt,
            runner_id=session.last_runner_id, instance=session.last_instance,
            requested_ms=session.requested.wall_ms, max_duration_s=session.max_duration_s,
            call=b"{}", data=b"{}", assigned_ms=session.assigned_ms,
            started_ms=session.started_ms, ended_ms=session.ended_ms,
            torn_down_ms=session.torn_down_ms,
        )  # fmt: skip

    def _offer(self, session: Session, timeout_s: float) -> None:
        runner = session.runner
        assert runner is not None
        frame = control.JobAssign(
            job_id=session.job_id, call_id=session.session_id, agent_id="desk", bridge_url="",
            call_token="", assign_id=session.job_id, deadline_ms=int(timeout_s * 1000),
            attempt=session.attempt if runner.speaks_events else 0,
        )  # fmt: skip
        self._send(runner, frame)
        told = self.told[session.session_id]
        told.newest = Write(session, self._row(session))
        told.durable = told.failed = False
        self.writes.append(told.newest)

    def _ended(self, session: Session, runner: Runner | None, seq: int) -> None:
        self.told[session.session_id].ends += 1
        assert session.torn_down_ms is not None
        write = Write(session, self._row(session), runner, runner.acks if runner else None, seq)
        if runner is not None:
            runner.acks.heard(seq, durable=False)
        self.writes.append(write)

    def _acknowledge(self, runner: Runner, acks: Acks, seq: int) -> None:
        if runner.speaks_events and runner.acks is acks:
            self._send(runner, control.EventsAck(seq=seq))

    def _try_answer(self, session: Session) -> None:
        told = self.told[session.session_id]
        if told.answers != [None]:
            return
        if told.failed:
            self.apply(self.dispatcher.not_recorded(session, self.at))
        elif told.durable:
            told.given = True

    def _close_bridge(self, session_id: str, *, drop: bool) -> None:
        line = self.lines.get(session_id)
        if line is None:
            return
        if line.job.bridge:
            line.job.bridge = False
            line.job.told_to_end = True
            self.notices.append((session_id, line.attempt, True))
        if drop:
            del self.lines[session_id]

    # -- disk -------------------------------------------------------------------------------

    def commit(self, count: int | None = None) -> None:
        """The oldest records become durable, all of them unless told otherwise."""
        for write in self.unsaved:
            self.writes.append(write)
        self.unsaved.clear()
        for _ in range(len(self.writes) if count is None else min(count, len(self.writes))):
            write = self.writes.popleft()
            self._keep(write)
            told = self.told[write.session.session_id]
            if write.runner is not None and write.acks is not None:
                self._acknowledge(write.runner, write.acks, write.acks.saved(write.seq))
            if write is told.newest:
                told.durable = True
                self._try_answer(write.session)

    def _keep(self, write: Write) -> None:
        session_id = write.session.session_id
        if not write.is_end or session_id in self.disk:
            self.disk[session_id] = write.row

    def fail(self) -> None:
        """The disk takes nothing of what is on its way."""
        writes, self.writes = list(self.writes), deque()
        for write in writes:
            told = self.told[write.session.session_id]
            if write.is_end:
                self.unsaved.append(write)
            elif write is told.newest:
                told.failed = True
                self._try_answer(write.session)

    # -- what happens -----------------------------------------------------------------------

    def start(self, max_duration_s: float) -> str:
        session_id = f"s{len(self.told)}"
        self.told[session_id] = Told()
        session = Session(
            session_id, self.book.find_pool((ORG, "desk")), self.at, max_duration_s, b"{}", b"{}"
        )
        self.apply(self.dispatcher.start(session, self.at))
        return session_id

    def connect(self, runner: SimRunner) -> None:
        self._numbers += 1
        wire = Wire(self._numbers)
        self.wires[wire.number] = (wire, runner)
        runner.connect(wire)

    def to_server(self, wire: Wire) -> None:
        """The orchestrator reads one frame of this socket."""
        frame = wire.up.popleft()
        if isinstance(frame, control.Register):
            runner, effects = self.dispatcher.register(ORG, frame, wire.number, self.at)
            self.registered[wire.number] = runner
            self.apply(effects)
            return
        known = self.registered.get(wire.number)
        if known is not None and known.socket == wire.number:
            self.apply(self.dispatcher.hear(known, frame, self.at))

    def to_runner(self, wire: Wire) -> None:
        """The runner reads one frame of its socket."""
        runner = self.wires[wire.number][1]
        frame = wire.down.popleft()
        if runner.wire is not wire:
            return
        if frame is None:
            wire.cut()
            runner.disconnected()
        else:
            runner.receive(frame, self.now)

    def server_notices(self, wire: Wire) -> None:
        """The orchestrator learns that the socket is gone."""
        del self.wires[wire.number]
        runner = self.registered.pop(wire.number, None)
        if runner is not None:
            self.apply(self.dispatcher.socket_lost(runner, wire.number, self.at))

    def notice_bridge(self) -> None:
        session_id, attempt, clean = self.notices.popleft()
        line = self.lines.get(session_id)
        if line is not None and line.attempt == attempt and not line.job.bridge:
            del self.lines[session_id]
        elif line is not None:
            return
        self.apply(self.dispatcher.bridge_lost(session_id, attempt, clean=clean, now=self.at))

    def dial(self, runner: SimRunner, job: Job) -> None:
        """The runner opens, or opens again, the job's bridge."""
        session = self.book.sessions.get(job.session_id)
        if session is None or not session.holds_slot or session.attempt != job.attempt:
            runner.dial_refused(job, final=True)
            return
        line = self.lines.get(job.session_id)
        if line is not None and not job.entered:
            runner.dial_refused(job, final=False)
            return
        self.lines[job.session_id] = Line(job.attempt, job, runner)
        self.apply(self.dispatcher.bridge_opened(job.session_id, job.attempt, self.at))
        runner.opened(job)

    def hang_up(self, runner: SimRunner, job: Job, *, clean: bool) -> None:
        """The runner's end of the bridge closes, or breaks."""
        if job.bridge:
            job.bridge = False
            self.notices.append((job.session_id, job.attempt, clean))

    def crash(self, runner: SimRunner) -> None:
        for job in runner.jobs.values():
            self.hang_up(runner, job, clean=False)
        if runner.wire is not None:
            runner.wire.cut()
        if isinstance(runner, PaddockRunner):
            runner.boot()
        else:
            self._numbers += 1
            self.runners[self.runners.index(runner)] = V2Runner(
                f"{runner.name.split('#')[0]}#{self._numbers}", runner.capacity
            )

    def restart(self) -> None:
        """kill -9 of the orchestrator and a new one over what was durable."""
        for write in (*self.writes, *self.unsaved):
            if write.is_end:
                self.told[write.session.session_id].ends -= 1
        self.writes.clear()
        self.unsaved.clear()
        for told in self.told.values():
            told.lost_start |= not told.given
        for wire, _ in self.wires.values():
            wire.cut()
        self.wires.clear()
        self.registered.clear()
        self.notices.clear()
        for line in self.lines.values():
            line.job.bridge = False
            if isinstance(line.runner, V2Runner):
                line.job.told_to_end = True
        self.lines.clear()
        self.boots += 1
        self.dispatcher = Dispatcher(LIMITS, boot=str(self.boots))
        rows = [r for r in self.disk.values() if r.torn_down_ms is None]
        recovering = reopen(cast("Store", _Disk(rows)), self.dispatcher, self.at)
        try:
            recovering.send(None)
        except StopIteration as done:
            self.apply(done.value)

    def advance(self, seconds: float) -> None:
        """Time passes; alarms and sweeps fire in their order, the network stands still."""
        until = self.now + seconds
        while True:
            alarm = self.dispatcher.next_at
            due = min(until, self._next_sweep, alarm if alarm is not None else until)
            self.now = max(self.now, due)
            self.apply(self.dispatcher.tick(self.at))
            if self.now >= self._next_sweep:
                self._next_sweep = self.now + 1.0
                self.apply(self.dispatcher.sweep(self.at))
            if self.now >= until:
                return


UNRECORDED = Reason.STORE_UNAVAILABLE
