"""Manifests, samples and a small pool simulator for the tests of sizing."""

import heapq
import math
import random
from collections import deque
from dataclasses import dataclass, field

from paddock_operator.autoscale.policy import Policy
from paddock_operator.autoscale.sample import PoolSample
from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.model.parse import parse_object


def pool(
    *, sessions_per_runner: int = 4, spec: object = None, **scaling: object
) -> AgentDeployment:
    """A valid manifest with the given scaling section, in camelCase."""
    extra = spec if isinstance(spec, dict) else {}
    return parse_object(
        {
            "apiVersion": "paddock.dev/v1alpha1",
            "kind": "AgentDeployment",
            "metadata": {"name": "support"},
            "spec": {
                "sessionsPerRunner": sessions_per_runner,
                "scaling": scaling,
                "template": {"spec": {"containers": [{"name": "runner"}]}},
                **extra,
            },
        }
    )


def sample(
    in_flight: int = 0,
    queued: int = 0,
    *,
    arrivals: int = 0,
    completions: int = 0,
    answered: int = 0,
    late: int = 0,
    startups: tuple[float, ...] = (),
    ready: int = 0,
    starting: int = 0,
    overdue: int = 0,
    draining: int = 0,
    fresh: bool = True,
) -> PoolSample:
    """A sample in which only what the test is about differs from an empty pool."""
    return PoolSample(
        in_flight=in_flight,
        queued=queued,
        arrivals=arrivals,
        completions=completions,
        answered=answered,
        late=late,
        startup_times_s=startups,
        ready=ready,
        starting=starting,
        overdue_starts=overdue,
        draining_sessions=draining,
        fresh=fresh,
    )


@dataclass(slots=True)
class Outcome:
    """What a simulated day cost, and how well it served."""

    starts: int = 0
    late: int = 0
    cut: int = 0
    runner_s: float = 0.0
    bound_s: float = 0.0
    """Runner-seconds without which not even a repacking clairvoyant could serve the sessions."""

    @property
    def late_share(self) -> float:
        return self.late / self.starts

    @property
    def cost(self) -> float:
        return self.runner_s / self.bound_s


@dataclass(slots=True)
class Simulation:
    """One pool under Poisson arrivals and log-normal session lengths, event by event.

    Sessions go to the most loaded ready runner with room; a queue is first in, first out, and
    callers give up after thirty seconds; only idle runners are removed, newest first. A runner
    costs from its request to its removal.
    """

    policy: Policy
    seed: int
    erlang: float
    capacity: int = 4
    mean_session_s: float = 180.0
    startup_s: float = 20.0
    startup_sigma: float = 0.2
    now: float = 0.0
    outcome: Outcome = field(default_factory=Outcome)
    _random: random.Random = field(default_factory=random.Random)
    _events: list[tuple[float, int, str, int]] = field(default_factory=list)
    _queue: deque[float] = field(default_factory=deque)
    _load: dict[int, int] = field(default_factory=dict)
    _starting: dict[int, float] = field(default_factory=dict)
    _serial: int = 0
    _counts: dict[str, int] = field(default_factory=dict)
    _startups: list[float] = field(default_factory=list)

    def run(self, duration_s: float) -> Outcome:
        """Simulate so long from an empty pool."""
        self._random.seed(self.seed)
        self._at(0.0, "tick")
        self._at(0.0, "arrival")
        while self._events and self._events[0][0] <= duration_s:
            when, _, kind, runner = heapq.heappop(self._events)
            self._pass_time(when - self.now)
            self.now = when
            getattr(self, f"_{kind}")(runner)
        return self.outcome

    def _at(self, delay_s: float, kind: str, runner: int = -1) -> None:
        self._serial += 1
        heapq.heappush(self._events, (self.now + delay_s, self._serial, kind, runner))

    def _pass_time(self, dt: float) -> None:
        self.outcome.runner_s += dt * (len(self._load) + len(self._starting))
        self.outcome.bound_s += dt * max(1, math.ceil(self._sessions() / self.capacity))

    def _sessions(self) -> int:
        return sum(self._load.values()) + len(self._queue)

    def _count(self, what: str) -> None:
        self._counts[what] = self._counts.get(what, 0) + 1

    def _arrival(self, _: int) -> None:
        self._at(self._random.expovariate(self.erlang / self.mean_session_s), "arrival")
        self.outcome.starts += 1
        self._count("arrivals")
        self._queue.append(self.now)
        self._place()
        if self._queue:
            self._decide()

    def _place(self) -> None:
        while self._queue and self.now - self._queue[0] > 30.0:
            self._queue.popleft()
            self.outcome.late += 1
            self._count("late")
        while self._queue:
            free = [runner for runner, load in self._load.items() if load < self.capacity]
            if not free:
                return
            runner = max(free, key=self._load.__getitem__)
            waited = self.now - self._queue.popleft()
            self._count("answered")
            if waited > 0.5:
                self.outcome.late += 1
                self._count("late")
            self._load[runner] += 1
            sigma = 1.0
            length = self._random.lognormvariate(
                math.log(self.mean_session_s) - sigma * sigma / 2, sigma
            )
            self._at(length, "end", runner)

    def _end(self, runner: int) -> None:
        self._load[runner] -= 1
        self._count("completions")
        self._place()

    def _ready(self, runner: int) -> None:
        if (requested := self._starting.pop(runner, None)) is not None:
            self._startups.append(self.now - requested)
            self._load[runner] = 0
            self._place()

    def _tick(self, _: int) -> None:
        self._at(1.0, "tick")
        self._place()
        self._decide()

    def _decide(self) -> None:
        decision = self.policy.decide(
            sample(
                sum(self._load.values()),
                len(self._queue),
                arrivals=self._counts.get("arrivals", 0),
                completions=self._counts.get("completions", 0),
                answered=self._counts.get("answered", 0),
                late=self._counts.get("late", 0),
                startups=tuple(self._startups),
                ready=len(self._load),
                starting=len(self._starting),
            ),
            self.now,
        )
        self._counts.clear()
        self._startups.clear()
        self._resize(decision.target)

    def _resize(self, target: int) -> None:
        while len(self._load) + len(self._starting) < target:
            self._serial += 1
            runner = self._serial
            self._starting[runner] = self.now
            start_s = self._random.lognormvariate(math.log(self.startup_s), self.startup_sigma)
            self._at(start_s, "ready", runner)
        surplus = len(self._load) + len(self._starting) - target
        for runner in sorted(self._starting, reverse=True)[: max(0, surplus)]:
            del self._starting[runner]
            surplus -= 1
        idle = sorted((runner for runner, load in self._load.items() if not load), reverse=True)
        for runner in idle[: max(0, surplus)]:
            del self._load[runner]
