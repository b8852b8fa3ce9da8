"""The runner's end of the control socket, sans-I/O.

Frames and the user's happenings go in; what to send and what to do comes out. It decides whether a
job is taken, so its rules are what keeps a runner within its capacity and a drain honest:

* a job is booked before it is acknowledged, in one step with the checks (no await in between);
* a job stays booked when its socket dies: whether the answer arrived cannot be known from this end,
  so its dial or the orchestrator lets it go, and until then it counts;
* the same assignment is answered the same way again and never run twice;
* what was obeyed is reported only after the shell has said that a restart would not forget it;
* an `ended` event is kept until the orchestrator says it is durable, and sent again after a
  reconnect; a session that ended meanwhile is still listed at registration, as `ended`.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

import msgspec

from paddock.protocol import control, features
from paddock.protocol.barrier import Barrier
from paddock.protocol.permits import Permits
from paddock.protocol.stream import Outgoing
from paddock.protocol.words import Mode, Refusal, SessionState

_REMEMBERED_ANSWERS = 1024


@dataclass(frozen=True, slots=True)
class Reply:
    frame: msgspec.Struct


@dataclass(frozen=True, slots=True)
class RunJob:
    assign: control.JobAssign


@dataclass(frozen=True, slots=True)
class EndJob:
    """End the session of this job for `reason`. `verb_id` is answered; "" cancels the job."""

    job_id: str
    reason: str
    verb_id: str = ""


@dataclass(frozen=True, slots=True)
class DrainChanged:
    """Told to drain (with seconds until what is left is ended, None is never) or to serve."""

    draining: bool
    deadline_s: float | None = None
    warn_before_s: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Remember:
    """Obeyed: to be stored, and then told to `remembered`. Until that nothing is reported.

    Comes again with each heartbeat.
    """

    drain_epoch: int
    mode: Mode


@dataclass(frozen=True, slots=True)
class Beat:
    """Registered: send a heartbeat now and every `every_s` seconds."""

    every_s: int


Output = Reply | RunJob | EndJob | DrainChanged | Remember | Beat


@dataclass(slots=True)
class _Job:
    session_id: str
    attempt: int
    state: SessionState = SessionState.ASSIGNED


@dataclass(slots=True)
class RunnerLink:
    """State of one runner process; sockets come and go."""

    worker_id: str
    instance: str
    agent_id: str
    pool: str
    capacity: int
    permits: Permits
    barrier: Barrier = field(default_factory=Barrier)
    leaving: bool = False
    """Told by a signal to go for good: no serve calls that off."""
    queued: int = 0
    """Starts that wait for the pool, as the orchestrator last said."""
    registered: bool = False
    boot: str = ""
    stored_epoch: int = field(init=False)
    """A restarted container begins with this epoch or a later one."""
    _jobs: dict[str, _Job] = field(default_factory=dict)
    _answers: OrderedDict[str, control.JobAck] = field(default_factory=OrderedDict)
    _outbox: Outgoing[control.SessionEvent] = field(default_factory=lambda: Outgoing(1 << 20))
    _features: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.stored_epoch = self.barrier.drain_epoch

    @property
    def in_flight(self) -> int:
        """Booked jobs: dialling, live, cleaning up."""
        return len(self._jobs)

    @property
    def draining(self) -> bool:
        return self.leaving or self.barrier.mode is Mode.DRAIN

    def registration(self, capabilities: control.Capabilities) -> control.Register:
        """The first frame on a new socket: who this is and what it holds."""
        self.registered = False
        held = {
            f"{e.session_id}.{e.attempt}": control.HeldSession(
                session_id=e.session_id, attempt=e.attempt, state=SessionState.ENDED
            )
            for e in self._outbox.unacknowledged()
            if e.kind == "ended"
        }
        for job_id, job in self._jobs.items():
            held[job_id] = control.HeldSession(
                session_id=job.session_id, attempt=job.attempt, state=job.state
            )
        return control.Register(
            worker_id=self.worker_id,
            pool=self.pool,
            capabilities=capabilities,
            sessions=list(held.values()),
            draining=self.draining,
            drain_epoch=self.barrier.drain_epoch,
        )

    def heartbeat(self) -> control.Heartbeat:
        return control.Heartbeat(
            active_jobs=len(self._jobs),
            worker_id=self.worker_id,
            in_flight=len(self._jobs),
            draining=self.draining,
        )

    def beat(self) -> list[Output]:
        """Due every few seconds while registered."""
        beat: list[Output] = [Reply(self.heartbeat())]
        return beat if self._is_stored else [*beat, self._remember()]

    def remembered(self, drain_epoch: int) -> list[Output]:
        """`Remember` of this epoch is carried out, durably."""
        self.stored_epoch = max(self.stored_epoch, drain_epoch)
        return self._report() if self._is_stored else []

    def receive(self, frame: control.ToRunner, now: float) -> list[Output]:
        """A frame from the orchestrator. `now` is monotonic seconds."""
        match frame:
            case control.Welcomed():
                return self._welcomed(frame)
            case control.JobAssign():
                return self._assigned(frame, now)
            case control.JobCancel():
                held = frame.job_id in self._jobs
                return [EndJob(frame.job_id, frame.reason or "cancelled")] if held else []
            case control.Verb():
                return self._asked(frame)
            case control.EventsAck():
                self._outbox.acknowledge(frame.seq)
            case control.Drain():
                return self._told(frame.drain_epoch, Mode.DRAIN, frame)
            case control.Serve():
                return self._told(frame.drain_epoch, Mode.SERVE, None)
            case control.PoolQueued():
                self.queued = frame.queued
        return []

    def active(self, job_id: str, at_ms: int) -> list[Output]:
        """The entrypoint of the job runs."""
        return self._event(job_id, SessionState.ACTIVE, at_ms)

    def ending(self, job_id: str, at_ms: int) -> list[Output]:
        """The call is over; its clean-up runs and still takes the slot."""
        return self._event(job_id, SessionState.ENDING, at_ms)

    def ended(self, job_id: str, reason: str, detail: str, at_ms: int) -> list[Output]:
        """Everything of the job is over: its slot is free from this call on."""
        if job_id not in self._jobs:
            return []
        outputs = self._event(job_id, SessionState.ENDED, at_ms, reason, detail)
        del self._jobs[job_id]
        self.barrier.unbook(job_id)
        if self.barrier.mode is Mode.DRAIN and not self._jobs:
            outputs += self._answer()
        return outputs

    def _welcomed(self, frame: control.Welcomed) -> list[Output]:
        self.registered = True
        self.boot = frame.boot
        self._features = frozenset(frame.features)
        outputs: list[Output] = [Beat(max(1, frame.heartbeat_interval_s))]
        if features.EVENTS in self._features:
            outputs += [Reply(event) for event in self._outbox.unacknowledged()]
        if self.barrier.drain_epoch:
            outputs += self._answer()
        return outputs

    def _assigned(self, assign: control.JobAssign, now: float) -> list[Output]:
        key = assign.assign_id or assign.job_id
        known = self._answers.get(key)
        if known is not None:
            return [Reply(known)]
        refusal, retry_after_ms = self._book(assign, now)
        ack = control.JobAck(
            job_id=assign.job_id,
            assign_id=assign.assign_id,
            accepted=refusal is None,
            reason=refusal,
            retry_after_ms=retry_after_ms,
        )
        if refusal is not None:
            return [Reply(ack)]
        self._answers[key] = ack
        if len(self._answers) > _REMEMBERED_ANSWERS:
            self._answers.popitem(last=False)
        return [Reply(ack), RunJob(assign)]

    def _book(self, assign: control.JobAssign, now: float) -> tuple[Refusal | None, int | None]:
        if assign.agent_id != self.agent_id:
            return Refusal.AGENT_ID_MISMATCH, None
        if self.leaving:
            return Refusal.DRAINING, None
        if len(self._jobs) >= self.capacity or assign.job_id in self._jobs:
            return Refusal.AT_CAPACITY, None
        due_s = self.permits.due_in(now)
        if due_s > 0.0:
            return Refusal.START_RATE, int(due_s * 1000) + 1
        refusal = self.barrier.book(assign.job_id)
        if refusal is not None:
            return refusal, None
        self.permits.take(now)
        self._jobs[assign.job_id] = _Job(assign.call_id, assign.attempt)
        return None, None

    def _asked(self, verb: control.Verb) -> list[Output]:
        for job_id, job in self._jobs.items():
            if job.session_id == verb.session_id:
                return [EndJob(job_id, verb.reason or "terminated", verb.verb_id)]
        gone = control.VerbResult(verb_id=verb.verb_id, ok=False, error="no such session here")
        return [Reply(gone)]

    def _told(self, epoch: int, mode: Mode, drain: control.Drain | None) -> list[Output]:
        before = self.barrier.drain_epoch
        if self.barrier.obey(epoch, mode) is None:
            return []
        outputs = self._answer()
        if self.barrier.drain_epoch != before and not self.leaving:
            if drain is None:
                outputs.append(DrainChanged(draining=False))
            else:
                deadline_s = None if drain.deadline_ms is None else drain.deadline_ms / 1000.0
                warn_s = drain.warn_before_ms / 1000.0
                outputs.append(DrainChanged(True, deadline_s, warn_s, drain.reason))
        return outputs

    @property
    def _is_stored(self) -> bool:
        return self.stored_epoch >= self.barrier.drain_epoch

    def _answer(self) -> list[Output]:
        """The report, or what stands before it.

        A container that forgot the drain would take calls again, and the report that it made
        before allows to remove it.
        """
        return self._report() if self._is_stored else [self._remember()]

    def _remember(self) -> Remember:
        return Remember(self.barrier.drain_epoch, self.barrier.mode)

    def _report(self) -> list[Output]:
        if features.DRAIN not in self._features:
            return []
        report = self.barrier.report()
        mode = Mode.DRAIN if self.leaving else report.mode
        frame = control.DrainReport(drain_epoch=report.drain_epoch, mode=mode, booked=report.booked)
        return [Reply(frame)]

    def _event(
        self, job_id: str, state: SessionState, at_ms: int, reason: str = "", detail: str = ""
    ) -> list[Output]:
        job = self._jobs.get(job_id)
        if job is None:
            return []
        job.state = state
        if features.EVENTS not in self._features:
            return []
        event = control.SessionEvent(
            seq=self._outbox.next(),
            session_id=job.session_id,
            attempt=job.attempt,
            kind=state.value,  # type: ignore[arg-type]
            at_ms=at_ms,
            reason=reason,
            detail=detail[:500],
        )
        self._outbox.keep(event)
        return [Reply(event)] if self.registered else []
