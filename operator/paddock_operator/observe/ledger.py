"""What is counted of one pool from pass to pass, for the metrics. Plain numbers, no library.

Labels are of closed sets. All of it goes when the pool goes.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product
from typing import Final

from paddock.exposition import Histogram
from paddock_operator.model.conditions import Reason
from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.observe.facts import PoolFacts
from paddock_operator.observe.happenings import Outcome, happened
from paddock_operator.observe.scene import Scene
from paddock_operator.observe.size_conditions import scaling_active
from paddock_operator.observe.tally import Tally
from paddock_operator.plan.actions import WriteIntent
from paddock_operator.plan.view import DrainReason, Phase

START_BOUNDS: Final = (0.5, 1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600)
DRAIN_BOUNDS: Final = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)
WAIT_BOUNDS: Final = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300)

RUNNER_STATES: Final = ("starting", "ready", "draining", "unknown")
START_FAILURES: Final = (
    "crashed", "deadline", "image_pull", "unschedulable", "quota", "forbidden", "other",
)  # fmt: skip
LOSSES: Final = ("drain_timeout", "runner_failed", "runner_gone")
STARTED: Final = ("ready", "first_session")
DIRECTIONS: Final = ("up", "down")
SIZED_BY: Final = ("policy", "limit", "manual", "fallback")
DRAIN_REASONS: Final = (*(reason.value for reason in DrainReason), "Unknown")
OUTCOMES: Final = tuple(outcome.value for outcome in Outcome)
_CALLED_OFF: Final = (DrainReason.SCALE_DOWN.value, DrainReason.ROLLOUT.value)
USUAL_DRAINS: Final = tuple(
    (reason.value, outcome.value)
    for reason, outcome in product(DrainReason, Outcome)
    if outcome is not Outcome.UNDRAINED or reason.value in _CALLED_OFF
)
"""What drains come to; any other pair of reason and outcome is a surprise."""
TIMED_DRAINS: Final = tuple(
    (reason.value, Outcome.DONE.value)
    for reason in (DrainReason.SCALE_DOWN, DrainReason.ROLLOUT, DrainReason.NODE_CORDON)
)
"""Those whose histograms are there before the first one: each is 16 series of every pool."""
LONGEST_GAP_S: Final = 600.0
"""A longer time between two passes is not accounted for."""

_OTHERWISE: Final = {Reason.MANUAL: "manual", Reason.FALLBACK: "fallback"}


def sizes(counted: Tally) -> dict[str, int]:
    """How many runners there are in each of `RUNNER_STATES`."""
    groups = (counted.starting, counted.ready, counted.draining, counted.unknown)
    return {state: len(group) for state, group in zip(RUNNER_STATES, groups, strict=True)}


def _zeros(*sets: Iterable[str]) -> Counter[tuple[str, ...]]:
    """Counters that are there before the first event: a series that begins at 1 has no increase."""
    return Counter(dict.fromkeys(product(*sets), 0))


@dataclass(slots=True)
class Ledger:
    """One pool's counters, and its last pass."""

    scene: Scene
    scale_decisions: Counter[tuple[str, ...]] = field(
        default_factory=lambda: _zeros(DIRECTIONS, SIZED_BY)
    )
    drains: Counter[tuple[str, ...]] = field(
        default_factory=lambda: Counter(dict.fromkeys(USUAL_DRAINS, 0))
    )
    """By reason and outcome."""
    drain_seconds: dict[tuple[str, ...], Histogram] = field(
        default_factory=lambda: {labels: Histogram(DRAIN_BOUNDS) for labels in TIMED_DRAINS}
    )
    """As `drains`."""
    sessions_lost: Counter[tuple[str, ...]] = field(default_factory=lambda: _zeros(LOSSES))
    start_failures: Counter[tuple[str, ...]] = field(default_factory=lambda: _zeros(START_FAILURES))
    runner_seconds: dict[tuple[str, ...], float] = field(
        default_factory=lambda: {(state,): 0.0 for state in RUNNER_STATES}
    )
    start_seconds: dict[str, Histogram] = field(
        default_factory=lambda: {until: Histogram(START_BOUNDS) for until in STARTED}
    )
    capacity_wait: Histogram = field(default_factory=lambda: Histogram(WAIT_BOUNDS))
    delete_conflicts: int = 0
    _queued_since: float | None = None
    _proven: set[str] = field(default_factory=set)
    """Runners that have been ready: one that registers again did not start again."""
    _unused: set[str] = field(default_factory=set)
    """Runners seen becoming ready that have had no session yet."""
    _stuck: set[tuple[str, str]] = field(default_factory=set)
    """Runners that were counted for what keeps them from starting, and for what."""

    def __post_init__(self) -> None:
        self._note_proven(self.scene)
        self._stuck = set(self.scene.facts.pods.stuck.items())

    def record(self, after: Scene, manifest: AgentDeployment) -> None:
        """Count what happened since the scene before."""
        before, self.scene = self.scene, after
        lasted_s = after.at - before.at
        if 0.0 < lasted_s < LONGEST_GAP_S:
            for state, number in sizes(before.counted).items():
                self.runner_seconds[(state,)] += number * lasted_s
        if after.last is before.last:
            return
        self._sizes(before, after, manifest)
        self._runners(before, after)
        self._queue(after)
        self._kept_from_starting(before, after)
        self.delete_conflicts += after.last.called_off

    def _sizes(self, before: Scene, after: Scene, manifest: AgentDeployment) -> None:
        old, new = before.last.decision.target, after.last.decision.target
        if old != new:
            active = scaling_active(after.last, manifest, after.facts)
            usual = "limit" if after.last.decision.limited else "policy"
            by = _OTHERWISE.get(active.reason, usual)
            self.scale_decisions["up" if new > old else "down", by] += 1

    def _runners(self, before: Scene, after: Scene) -> None:
        things = happened(before, after)
        for runner in things.became_ready:
            if runner.runner_id in self._proven:
                continue
            at = runner.ready_at if runner.ready_at is not None else after.at
            self.start_seconds["ready"].observe(max(0.0, at - runner.created_at))
            self._unused.add(runner.runner_id)
        there = {runner.runner_id: runner for runner in after.last.pool.runners}
        self._unused &= there.keys()
        for name in [name for name in self._unused if there[name].booked]:
            self._unused.remove(name)
            self.start_seconds["first_session"].observe(after.at - there[name].created_at)
        for drain in things.ended_drains:
            label = (drain.reason.value if drain.reason else "Unknown", drain.outcome.value)
            self.drains[label] += 1
            if label not in self.drain_seconds:
                self.drain_seconds[label] = Histogram(DRAIN_BOUNDS)
            self.drain_seconds[label].observe(drain.seconds)
            if drain.outcome is Outcome.TIMEOUT:
                self.sessions_lost[("drain_timeout",)] += drain.cut
        self.sessions_lost[("runner_failed",)] += things.held
        self.sessions_lost[("runner_gone",)] += sum(r.booked or 0 for r in things.vanished)
        for failed in things.failed:
            if failed.runner_id not in self._proven:
                self._start_failed("crashed")
        for action in after.last.plan.actions:
            if (
                isinstance(action, WriteIntent)
                and action.after.reason is DrainReason.BROKEN
                and there[action.runner_id].phase is Phase.STARTING
                and action.runner_id not in self._proven
            ):
                self._start_failed("deadline")
        self._note_proven(after)

    def _kept_from_starting(self, before: Scene, after: Scene) -> None:
        """Each runner once for each reason; what nothing gets past, once until something does."""
        stuck = set(after.facts.pods.stuck.items())
        for _, reason in stuck - self._stuck:
            self._start_failed(reason)
        there = {each.runner_id for each in after.last.observed}
        self._stuck = {one for one in self._stuck | stuck if one[0] in there}
        refused = _refused_for(after.facts)
        if refused and refused != _refused_for(before.facts):
            self._start_failed(refused)

    def _start_failed(self, reason: str) -> None:
        self.start_failures[(reason,)] += 1

    def _note_proven(self, scene: Scene) -> None:
        runners = scene.last.pool.runners
        self._proven |= {r.runner_id for r in runners if r.phase is Phase.READY}
        self._proven &= {r.runner_id for r in runners}

    def _queue(self, after: Scene) -> None:
        queued = after.last.pool.sample.queued
        if queued and self._queued_since is None:
            self._queued_since = after.at
        elif not queued and self._queued_since is not None:
            self.capacity_wait.observe(max(0.0, after.at - self._queued_since))
            self._queued_since = None


def _refused_for(facts: PoolFacts) -> str:
    """What keeps every new runner of the pool from being created; "" for nothing."""
    if facts.quota_message:
        return "quota"
    if facts.template_problem is None:
        return ""
    return "forbidden" if facts.template_problem.reason == "Forbidden" else "other"
