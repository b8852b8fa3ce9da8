"""An orchestrator as hostile as its word allows: it places calls anywhere and forgets all it can.

It relays commands to runners late, twice or never, and passes on what they report. What it never
does is to report in a runner's name.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from fakes.simulated.chaos import Chaos
from fakes.simulated.runner import RunnerProcess
from fakes.simulated.wire import Wire
from paddock.protocol import control
from paddock.protocol.words import Mode, SessionState

Json = dict[str, Any]
OFFER_S = 2.0
QUEUE_S = 25.0
TRIES = 3


@dataclass(eq=False)
class Known:
    """A runner as it last registered."""

    name: str
    instance: str
    capacity: int
    registered_ms: int
    wire: Wire | None = None
    held: dict[str, None] = field(default_factory=dict)
    """Jobs offered to it that it has not said to be over; and those it listed."""
    report: tuple[int, str, int] | None = None
    drain_epoch: int = 0
    draining: bool = False
    told: control.Drain | control.Serve | None = None


@dataclass(eq=False)
class Start:
    number: int
    tries: int = 0
    attempt: int = 0
    """Of all offers; never used twice."""
    over: bool = False


class Orchestrator:
    def __init__(self, chaos: Chaos, agent: str, wall: Callable[[], float]) -> None:
        self._chaos = chaos
        self._agent = agent
        self._wall = wall
        self._loop = asyncio.get_running_loop()
        self._numbers = count(1)
        self.up = True
        self.boot = 0
        self.frozen = False
        """Statistics go on, but always say the same."""
        self.recovering_until = 0.0
        self._wires: list[Wire] = []
        self.runners: dict[str, Known] = {}
        self.waiting: list[Start] = []
        self._offers: dict[str, tuple[Start, Known]] = {}
        self._counters = {"arrivals": 0, "completions": 0, "answered": 0, "late": 0}
        self._startups: list[tuple[int, int]] = []
        self._declared_until = -1.0
        self._growable = False
        self.news = asyncio.Event()
        self.answered = 0
        self.refused = 0
        self._begin()

    def _begin(self) -> None:
        self.boot += 1
        self.runners = {}
        self.waiting = []
        self._offers = {}
        self._counters = dict.fromkeys(self._counters, 0)
        self._startups = []

    # -- its own fate -----------------------------------------------------------------------

    def stop(self) -> None:
        self.up = False
        wires, self._wires = self._wires, []
        for wire in wires:
            wire.cut()
        self.news.set()

    def start(self) -> None:
        if not self.up:
            self.up = True
            self._begin()
            doubtful_s = self._chaos.random.choice((0.0, 5.0, 30.0))
            self.recovering_until = self._loop.time() + doubtful_s

    # -- runners ----------------------------------------------------------------------------

    def connect(self, runner: RunnerProcess) -> Wire | None:
        if not self.up:
            return None
        wire: Wire

        def closed() -> None:
            runner.socket_lost()
            for known in self.runners.values():
                if known.wire is wire:
                    known.wire = None

        wire = Wire(self._chaos, lambda frame: self._heard(wire, frame), runner.receive, closed)
        self._wires = [*(each for each in self._wires if each.alive), wire]
        return wire

    def _heard(self, wire: Wire, frame: Any) -> None:
        if isinstance(frame, control.Register):
            self._registered(wire, frame)
            return
        known = next((each for each in self.runners.values() if each.wire is wire), None)
        if known is None:
            return
        match frame:
            case control.JobAck():
                self._acknowledged(known, frame)
            case control.SessionEvent(kind="ended"):
                known.held.pop(f"{frame.session_id}.{frame.attempt}", None)
                self._counters["completions"] += 1
                wire.to_runner(control.EventsAck(seq=frame.seq))
                self._place_waiting()
            case control.DrainReport():
                known.report = (frame.drain_epoch, frame.mode.value, frame.booked)
                known.drain_epoch = max(known.drain_epoch, frame.drain_epoch)
                known.draining = frame.mode is Mode.DRAIN
                self._place_waiting()
            case control.Heartbeat():
                known.draining = frame.draining
            case control.Bye():
                known.wire = None
                self.runners.pop(known.name, None)
            case _:
                pass

    def _registered(self, wire: Wire, frame: control.Register) -> None:
        caps = frame.capabilities
        known = self.runners.get(frame.worker_id)
        if known is not None and known.wire is not None and known.wire is not wire:
            old, known.wire = known.wire, None
            old.cut()
        if known is None or known.instance != caps.instance:
            known = Known(
                frame.worker_id, caps.instance, caps.max_concurrent, int(self._wall() * 1000)
            )
            self.runners[known.name] = known
            self._startups = [*self._startups[-9:], (next(self._numbers), 3000)]
        known.wire = wire
        known.draining = frame.draining
        known.drain_epoch = max(known.drain_epoch, frame.drain_epoch)
        known.held = {
            f"{one.session_id}.{one.attempt}": None
            for one in frame.sessions
            if one.state is not SessionState.ENDED
        }
        wire.to_runner(
            control.Welcomed(
                heartbeat_interval_s=5, features=["events", "drain"], boot=str(self.boot)
            )
        )
        if known.told is not None:
            wire.to_runner(known.told)
        self._place_waiting()

    # -- calls ------------------------------------------------------------------------------

    def call(self) -> None:
        """Somebody wants to talk."""
        if self.up:
            self._counters["arrivals"] += 1
            self._place(Start(next(self._numbers)))

    def _place(self, start: Start) -> None:
        if start.over or not self.up:
            return
        blind = self._chaos.happens(0.3)
        free = [
            runner
            for runner in self.runners.values()
            if runner.wire is not None
            and len(runner.held) < runner.capacity
            and (blind or not runner.draining)
        ]
        if free and start.tries < TRIES:
            self._offer(start, self._chaos.random.choice(free))
        elif self._growable and self._loop.time() < self._declared_until:
            if start not in self.waiting:
                self.waiting.append(start)
                self.news.set()
                self._loop.call_later(QUEUE_S, self._give_up, start)
        else:
            self._give_up(start)

    def _give_up(self, start: Start) -> None:
        if start in self.waiting:
            self.waiting.remove(start)
        if not start.over:
            start.over = True
            self.refused += 1

    def _place_waiting(self) -> None:
        for start in list(self.waiting):
            if any(
                r.wire is not None and not r.draining and len(r.held) < r.capacity
                for r in self.runners.values()
            ):
                self.waiting.remove(start)
                start.tries = 0
                self._place(start)

    def _offer(self, start: Start, runner: Known) -> None:
        start.tries += 1
        start.attempt += 1
        job = f"s{start.number}.{start.attempt}"
        runner.held[job] = None
        self._offers[job] = (start, runner)
        assert runner.wire is not None
        runner.wire.to_runner(
            control.JobAssign(
                job_id=job, assign_id=job, call_id=f"s{start.number}", agent_id=self._agent,
                bridge_url="", call_token="", attempt=start.attempt,
            )
        )  # fmt: skip
        self._loop.call_later(OFFER_S, self._unanswered, job)

    def _acknowledged(self, runner: Known, ack: control.JobAck) -> None:
        start, _ = self._offers.pop(ack.job_id, (None, None))
        if not ack.accepted:
            runner.held.pop(ack.job_id, None)
            if ack.reason == "draining":
                runner.draining = True
            if start is not None:
                self._place(start)
        elif start is not None and not start.over:
            start.over = True
            self.answered += 1
            self._counters["answered"] += 1
        elif runner.wire is not None:
            runner.wire.to_runner(control.JobCancel(job_id=ack.job_id))

    def _unanswered(self, job: str) -> None:
        """Its slot stays taken until the runner says what became of it."""
        start, _ = self._offers.pop(job, (None, None))
        if start is not None:
            self._place(start)

    # -- the reconciler's side --------------------------------------------------------------

    def declared(self, body: Mapping[str, Any]) -> None:
        self._declared_until = self._loop.time() + 30.0
        self._growable = bool(body["growable"])

    def command(self, body: Json) -> bool:
        """Relay; what was told last is told again after a reconnect."""
        known = self.runners.get(body["runner_id"])
        if not self.up or known is None or known.wire is None:
            return False
        incarnation = body.get("instance", "")
        if not known.instance.startswith(incarnation):
            return False
        frame: control.Drain | control.Serve
        if body["mode"] == "drain":
            deadline_s = body["deadline_in_s"]
            frame = control.Drain(
                drain_epoch=body["drain_epoch"],
                deadline_ms=None if deadline_s is None else int(deadline_s * 1000),
                reason=body["reason"],
            )
            known.draining = True
        else:
            frame = control.Serve(drain_epoch=body["drain_epoch"])
        if known.told is None or frame.drain_epoch >= known.told.drain_epoch:
            known.told = frame
        # Relayed even if it is an old one: the runner must see to that by itself.
        known.wire.to_runner(frame)
        return True

    def gone(self, name: str, instance: str) -> None:
        known = self.runners.get(name)
        if known is not None and known.instance.startswith(instance):
            known.held.clear()
            del self.runners[name]
            if known.wire is not None:
                wire, known.wire = known.wire, None
                wire.cut()

    def statistics(self) -> Json:
        """Everything, as a line of the stream without its number."""
        return {
            "boot": str(self.boot),
            "recovering": self._loop.time() < self.recovering_until,
            "pools": [
                {
                    "agent": self._agent,
                    "queued": len(self.waiting),
                    **self._counters,
                    "startups_ms": list(self._startups),
                }
            ],
            "runners": [self._runner(each) for each in self.runners.values()],
        }

    def _runner(self, known: Known) -> Json:
        return {
            "runner_id": known.name, "agent": self._agent, "instance": known.instance,
            "revision": "", "connected": known.wire is not None, "suspect": False,
            "draining": known.draining, "can_drain": True, "capacity": known.capacity,
            "in_flight": len(known.held), "drain_epoch": known.drain_epoch,
            "report": known.report, "startup_ms": 3000, "registered_ms": known.registered_ms,
            "oldest_session_ms": None,
        }  # fmt: skip
