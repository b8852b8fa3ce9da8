"""A runner process: the real link machine and its barrier, with calls that take their time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from fakes.simulated.chaos import Chaos
from fakes.simulated.wire import Wire
from paddock.protocol import control, features
from paddock.protocol.barrier import Barrier
from paddock.protocol.permits import Permits
from paddock.protocol.runner_link import (
    DrainChanged,
    EndJob,
    Output,
    Remember,
    Reply,
    RunJob,
    RunnerLink,
)

DIAL_S = 1.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process runs and what it was given: a container of a pod."""

    pod: str
    uid: str
    agent: str
    capacity: int
    drain_timeout_s: float


class Watcher(Protocol):
    """Judges what runners do."""

    def accepted(self, runner: "RunnerProcess") -> None: ...
    def cut(self, runner: "RunnerProcess", why: str) -> None: ...
    def exited(self, runner: "RunnerProcess") -> None: ...


class Dial(Protocol):
    """The orchestrator's address."""

    def connect(self, runner: "RunnerProcess") -> Wire | None: ...


class RunnerProcess:
    """Lives from `start` until it exits by itself, is killed, or crashes."""

    def __init__(
        self,
        place: Place,
        number: int,
        *,
        chaos: Chaos,
        watcher: Watcher,
        dial: Dial,
        stored: dict[str, Any],
        link: Callable[..., RunnerLink] = RunnerLink,
    ) -> None:
        """`number` of its container's restarts; `stored` is the pod's own volume."""
        self.place = place
        self._chaos = chaos
        self._watcher = watcher
        self._dial = dial
        self._stored = stored
        self.link = link(
            worker_id=place.pod,
            instance=f"{place.uid}.{number}",
            agent_id=place.agent,
            pool=place.agent,
            capacity=place.capacity,
            permits=Permits(10_000, 60.0),
            barrier=_restored(stored),
        )
        self.alive = True
        self.calls: dict[str, asyncio.TimerHandle] = {}
        """By job: when the caller hangs up."""
        self.wire: Wire | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._connect()

    # -- its socket -------------------------------------------------------------------------

    def _connect(self) -> None:
        if not self.alive:
            return
        self.wire = self._dial.connect(self)
        if self.wire is None:
            self._loop.call_later(self._chaos.soon(2.0), self._connect)
            return
        self.wire.to_server(
            self.link.registration(
                control.Capabilities(
                    max_concurrent=self.place.capacity,
                    agent_id=self.place.agent,
                    transport=control.DIAL_OUT,
                    features=list(features.ALL),
                    instance=self.link.instance,
                )
            )
        )

    def socket_lost(self) -> None:
        self.wire = None
        self.link.registered = False
        self._loop.call_later(self._chaos.sometime(1.0, 20.0), self._connect)

    def receive(self, frame: Any) -> None:
        if self.alive:
            self._take(self.link.receive(frame, self._loop.time()))

    def _take(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Remember(drain_epoch, mode):
                    self._stored["barrier"] = (drain_epoch, mode)
                    self._take(self.link.remembered(drain_epoch))
                case Reply(frame):
                    if self.wire is not None:
                        self.wire.to_server(frame)
                case RunJob(assign):
                    self._watcher.accepted(self)
                    length_s = self._chaos.random.expovariate(1 / 15.0)
                    if self._chaos.happens(0.1):
                        length_s *= 10
                    over = self._loop.call_later(DIAL_S + length_s, self.hang_up, assign.job_id)
                    self.calls[assign.job_id] = over
                case EndJob(job_id):
                    self.hang_up(job_id)
                case DrainChanged(draining=True, deadline_s=deadline_s):
                    self._end_calls_in(deadline_s)
                case DrainChanged():
                    self._end_calls_in(None)
                case _:
                    pass

    # -- its calls --------------------------------------------------------------------------

    def hang_up(self, job_id: str, reason: str = "completed") -> None:
        over = self.calls.pop(job_id, None)
        if over is None or not self.alive:
            return
        over.cancel()
        self._take(self.link.ended(job_id, reason, "", 0))
        self._leave_if_empty()

    def _end_calls_in(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if seconds is not None:
            self._deadline = self._loop.call_later(seconds, self._at_deadline)

    def _at_deadline(self) -> None:
        if self.alive and self.calls:
            self._watcher.cut(self, "its drain's deadline")
            for job_id in list(self.calls):
                self.hang_up(job_id, "drain_timeout")

    # -- its end ----------------------------------------------------------------------------

    def sigterm(self) -> None:
        if self.alive and not self.link.leaving:
            self.link.leaving = True
            if self.wire is not None and self.link.registered:
                self.wire.to_server(self.link.heartbeat())
            self._end_calls_in(self.place.drain_timeout_s)
            self._leave_if_empty()

    def _leave_if_empty(self) -> None:
        if self.alive and self.link.leaving and not self.calls:
            if self.wire is not None:
                self.wire.to_server(control.Bye(reason="drained"))
            self.kill("left")

    def kill(self, why: str) -> None:
        """It is over at once. Whether that was allowed is the watcher's to say."""
        if not self.alive:
            return
        if self.calls:
            self._watcher.cut(self, why)
        self.alive = False
        for over in self.calls.values():
            over.cancel()
        self.calls.clear()
        self._end_calls_in(None)
        if self.wire is not None:
            self._loop.call_later(self._chaos.sometime(0.05, 20.0), self.wire.cut)
        self._watcher.exited(self)


def _restored(stored: dict[str, Any]) -> Barrier:
    barrier = Barrier()
    if "barrier" in stored:
        barrier.restore(*stored["barrier"])
    return barrier
