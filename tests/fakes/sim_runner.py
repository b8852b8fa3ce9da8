"""Simulated runners: Paddock's, on the real link machine, and one that speaks v2 only."""

from dataclasses import dataclass, field
from typing import Protocol

from fakes.wires import Wire
from paddock.protocol import control, features
from paddock.protocol.permits import Permits
from paddock.protocol.runner_link import EndJob, Output, Remember, Reply, RunJob, RunnerLink


@dataclass(eq=False)
class Job:
    """One accepted assignment inside a runner."""

    job_id: str
    session_id: str
    attempt: int
    entered: int = 0
    """How often its entrypoint was begun."""
    running: bool = False
    told_to_end: bool = False
    bridge: bool = False
    """Its end of the bridge is open."""
    failed_dials: int = 0


class SimRunner(Protocol):
    name: str
    capacity: int
    wire: Wire | None
    jobs: dict[str, Job]
    left: bool
    """It said good-bye."""

    def connect(self, wire: Wire) -> None: ...
    def receive(self, frame: object, now: float) -> None: ...
    def disconnected(self) -> None: ...
    def beat(self) -> None: ...
    def dial_refused(self, job: Job, *, final: bool) -> None: ...
    def opened(self, job: Job) -> None: ...
    def over(self, job: Job, reason: str) -> None: ...
    def gone(self, job: Job, reason: str) -> None: ...


@dataclass(eq=False)
class PaddockRunner:
    """A runner on the real `RunnerLink`. `boot` makes the next process of the same name."""

    name: str
    capacity: int
    permits: int = 1000
    wire: Wire | None = None
    jobs: dict[str, Job] = field(default_factory=dict)
    processes: int = 0
    left: bool = False

    def __post_init__(self) -> None:
        self.boot()

    def boot(self) -> None:
        self.processes += 1
        self.jobs, self.wire, self.left = {}, None, False
        self.link = RunnerLink(
            worker_id=self.name,
            instance=f"{self.name}.{self.processes}",
            agent_id="desk",
            pool="desk",
            capacity=self.capacity,
            permits=Permits(self.permits, 60.0),
        )

    def connect(self, wire: Wire) -> None:
        self.wire = wire
        wire.to_server(
            self.link.registration(
                control.Capabilities(
                    max_concurrent=self.capacity,
                    agent_id="desk",
                    transport=control.DIAL_OUT,
                    features=list(features.ALL),
                    instance=self.link.instance,
                    permits_per_minute=self.permits,
                )
            )
        )

    def receive(self, frame: object, now: float) -> None:
        assert isinstance(frame, control.ToRunner)
        for output in self.link.receive(frame, now):
            self._take(output)
        if isinstance(frame, control.Welcomed):
            self.beat()

    def _take(self, output: Output) -> None:
        match output:
            case Reply(frame):
                if self.wire is not None:
                    self.wire.to_server(frame)
            case RunJob(assign):
                assert assign.job_id not in self.jobs
                self.jobs[assign.job_id] = Job(assign.job_id, assign.call_id, assign.attempt)
            case EndJob(job_id, _, verb_id):
                self.jobs[job_id].told_to_end = True
                if verb_id and self.wire is not None:
                    self.wire.to_server(control.VerbResult(verb_id=verb_id, ok=True))
            case Remember(drain_epoch):
                self._say(self.link.remembered(drain_epoch))
            case _:
                pass

    def _say(self, outputs: list[Output]) -> None:
        for output in outputs:
            self._take(output)

    def disconnected(self) -> None:
        self.wire = None
        self.link.registered = False

    def beat(self) -> None:
        if self.wire is not None and self.link.registered:
            self.wire.to_server(self.link.heartbeat())

    def leave(self) -> None:
        """The first signal: take nothing more."""
        self.link.leaving = True
        self.beat()

    def bye(self) -> None:
        self.left = True
        if self.wire is not None:
            self.wire.to_server(control.Bye(reason="drained"))

    def dial_refused(self, job: Job, *, final: bool) -> None:
        if final:
            job.told_to_end = True

    def opened(self, job: Job) -> None:
        job.bridge = True
        if not job.entered:
            job.entered, job.running = 1, True
            self._say(self.link.active(job.job_id, 0))

    def over(self, job: Job, reason: str) -> None:
        """The call is over, the entrypoint cleans up."""
        job.running = False
        self._say(self.link.ending(job.job_id, 0))

    def gone(self, job: Job, reason: str) -> None:
        """Everything of the job is over."""
        job.running = False
        del self.jobs[job.job_id]
        self._say(self.link.ended(job.job_id, reason, "", 0))


@dataclass(eq=False)
class V2Runner:
    """A runner of the v2 protocol: frees its slots silently and lists nothing."""

    name: str
    capacity: int
    wire: Wire | None = None
    registered: bool = False
    jobs: dict[str, Job] = field(default_factory=dict)
    left: bool = False

    def connect(self, wire: Wire) -> None:
        self.wire = wire
        wire.to_server(
            control.Register(
                worker_id=self.name,
                pool="desk",
                capabilities=control.Capabilities(
                    max_concurrent=self.capacity, agent_id="desk", transport=control.DIAL_OUT
                ),
            )
        )

    def receive(self, frame: object, now: float) -> None:
        match frame:
            case control.Registered():
                self.registered = True
                self.beat()
            case control.JobAssign():
                full = len(self.jobs) >= self.capacity
                if not full:
                    assert frame.job_id not in self.jobs
                    attempt = int(frame.job_id.rpartition(".")[2])
                    self.jobs[frame.job_id] = Job(frame.job_id, frame.call_id, attempt)
                assert self.wire is not None
                self.wire.to_server(
                    control.JobAck(
                        job_id=frame.job_id,
                        assign_id=frame.assign_id,
                        accepted=not full,
                        reason="at_capacity" if full else None,
                    )
                )
            case control.JobCancel():
                if frame.job_id in self.jobs:
                    self.jobs[frame.job_id].told_to_end = True
            case _:
                raise AssertionError(f"a v2 runner does not know {frame}")

    def disconnected(self) -> None:
        self.wire, self.registered = None, False

    def beat(self) -> None:
        if self.wire is not None and self.registered:
            busy = sum(bool(j.entered) for j in self.jobs.values())
            self.wire.to_server(control.Heartbeat(active_jobs=busy, worker_id=self.name))

    def dial_refused(self, job: Job, *, final: bool) -> None:
        job.failed_dials += 1
        if job.failed_dials >= 3:
            del self.jobs[job.job_id]

    def opened(self, job: Job) -> None:
        assert not job.entered
        job.bridge = job.running = True
        job.entered = 1

    def over(self, job: Job, reason: str) -> None:
        job.running = False

    def gone(self, job: Job, reason: str) -> None:
        job.running = False
        del self.jobs[job.job_id]
