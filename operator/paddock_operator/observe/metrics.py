"""Every metric of the operator, in one place. `paddock up` shows those of its pool, too.

Pools are read from their ledgers when somebody scrapes, so that a pool that is gone has no series
left. Labels are of closed sets, but for namespaces and pool.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from paddock.exposition import Declarations, Histogram, Metric, Page
from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.observe.ledger import (
    DIRECTIONS,
    DRAIN_BOUNDS,
    DRAIN_REASONS,
    LOSSES,
    OUTCOMES,
    RUNNER_STATES,
    SIZED_BY,
    START_BOUNDS,
    START_FAILURES,
    STARTED,
    WAIT_BOUNDS,
    Ledger,
    sizes,
)
from paddock_operator.observe.scene import Scene
from paddock_operator.observe.tally import Tally

VERBS: Final = ("get", "list", "watch", "create", "patch", "update", "delete", "other")
RESOURCES: Final = (
    "agentdeployments", "agentdeployments/status", "configmaps", "controllerrevisions", "events",
    "leases", "nodes", "orchestratorconnections", "orchestratorconnections/status",
    "poddisruptionbudgets", "pods", "secrets", "other",
)  # fmt: skip

POOL_METRICS: Final = Declarations()
"""Of each pool."""
OPERATOR_METRICS: Final = Declarations()
"""Of the process that looks after a cluster's pools."""


class PoolKey(NamedTuple):
    """Which pool."""

    namespace: str
    pool: str


_OF_POOL: Final = {"namespace": "", "pool": ""}
_gauge, _counter, _histogram = POOL_METRICS.gauge, POOL_METRICS.counter, POOL_METRICS.histogram

RUNNERS: Final = _gauge(
    "paddock_pool_runners", "Runners by state.", **_OF_POOL, state=RUNNER_STATES
)
SESSIONS: Final = _gauge(
    "paddock_pool_sessions", "Sessions in flight (those on draining runners again as draining), "
    "starts that wait, and free slots.",
    **_OF_POOL, state=("in_flight", "queued", "free", "draining"),
)  # fmt: skip
DESIRED: Final = _gauge("paddock_pool_desired_runners", "Runners there should be.", **_OF_POOL)
MOST: Final = _gauge("paddock_pool_max_runners", "Runners there may be.", **_OF_POOL)
STATS_AGE: Final = _gauge(
    "paddock_pool_stats_age_seconds",
    "Age of the newest statistics that the last pass knew; a pool at rest has a pass in 15 s.",
    **_OF_POOL,
)
FALLBACK: Final = _gauge(
    "paddock_pool_fallback_active", "1 while the fallback sizes the pool.", **_OF_POOL
)
ROLLOUT_STEP: Final = _gauge(
    "paddock_pool_rollout_step",
    "Step of the roll-out, counted from 1; 0 when nothing is rolled out.", **_OF_POOL,
)  # fmt: skip
DRAIN_DEADLINE: Final = _gauge(
    "paddock_pool_drain_deadline_seconds",
    "Until the first deadline at which a drain ends sessions that its runner holds; absent without "
    "one.",
    **_OF_POOL,
)
DRAIN_TIMEOUT: Final = _gauge(
    "paddock_pool_drain_timeout_seconds",
    "All the time that the drain of drain_deadline_seconds has from its beginning.", **_OF_POOL,
)  # fmt: skip
DECISIONS: Final = _counter(
    "paddock_pool_scale_decisions_total", "Changes of desired_runners, by what made them.",
    **_OF_POOL, direction=DIRECTIONS, reason=SIZED_BY,
)  # fmt: skip
DRAINS: Final = _counter(
    "paddock_pool_drains_total", "Drains that ended.",
    **_OF_POOL, reason=DRAIN_REASONS, outcome=OUTCOMES,
)  # fmt: skip
LOST: Final = _counter(
    "paddock_pool_sessions_lost_total", "Sessions last seen on runners that ended.",
    **_OF_POOL, cause=LOSSES,
)  # fmt: skip
FAILURES: Final = _counter(
    "paddock_pool_start_failures_total",
    "Runners that did not become ready, and refusals to create any.",
    **_OF_POOL, reason=START_FAILURES,
)  # fmt: skip
RUNNER_SECONDS: Final = _counter(
    "paddock_pool_runner_seconds_total", "Time that runners existed, by state: what a pool costs.",
    **_OF_POOL, state=RUNNER_STATES,
)  # fmt: skip
CONFLICTS: Final = _counter(
    "paddock_pool_delete_conflicts_total",
    "Ends called off at the last moment: the runner was wanted again.", **_OF_POOL,
)  # fmt: skip
START_SECONDS: Final = _histogram(
    "paddock_pool_runner_start_seconds", "From a runner's creation until it is ready, or used.",
    START_BOUNDS, **_OF_POOL, until=STARTED,
)  # fmt: skip
DRAIN_SECONDS: Final = _histogram(
    "paddock_pool_drain_seconds", "From the drain's decision to its end.",
    DRAIN_BOUNDS, **_OF_POOL, reason=DRAIN_REASONS, outcome=OUTCOMES,
)  # fmt: skip
CAPACITY_WAIT: Final = _histogram(
    "paddock_pool_capacity_wait_seconds", "From a first waiting start until none waits.",
    WAIT_BOUNDS, **_OF_POOL,
)  # fmt: skip

RECONCILE: Final = OPERATOR_METRICS.histogram(
    "paddock_operator_reconcile_seconds", "Duration of one pass over one pool.",
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)  # fmt: skip
QUEUE_DEPTH: Final = OPERATOR_METRICS.gauge(
    "paddock_operator_queue_depth", "Pools that wait for a pass."
)
WATCH_LAG: Final = OPERATOR_METRICS.gauge(
    "paddock_operator_watch_lag_seconds", "Since the newest line of the watch, bookmarks included.",
    resource=RESOURCES,
)  # fmt: skip
REQUESTS: Final = OPERATOR_METRICS.counter(
    "paddock_operator_apiserver_requests_total", "Requests to the API server.",
    code="HTTP status; 0 without an answer", verb=VERBS,
)  # fmt: skip
REQUEST_SECONDS: Final = OPERATOR_METRICS.histogram(
    "paddock_operator_apiserver_request_seconds",
    "Duration of requests to the API server, watches excepted.",
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30), verb=VERBS, resource=RESOURCES,
)  # fmt: skip
LOOP_LAG: Final = OPERATOR_METRICS.gauge(
    "paddock_operator_event_loop_lag_seconds",
    "How late the event loop ran what was due, at worst within a minute.",
)
LEADER: Final = OPERATOR_METRICS.gauge(
    "paddock_operator_leader",
    "1 while this process is the one at work, of those with its lease.", lease_namespace="",
)  # fmt: skip


class PoolMetrics:
    """The pools of one process. `clock` is wall clock, seconds: ages need it.

    One thread feeds it and reads it.
    """

    declared: Sequence[Metric] = POOL_METRICS

    def __init__(self, clock: Callable[[], float]) -> None:
        self._ledgers: dict[PoolKey, Ledger] = {}
        self._clock = clock

    def record_pass(self, key: PoolKey, scene: Scene, manifest: AgentDeployment) -> None:
        """Take in a pass; of one that was taken in before, only what its facts say now."""
        ledger = self._ledgers.get(key)
        if ledger is None:
            self._ledgers[key] = Ledger(scene)
        else:
            ledger.record(scene, manifest)

    def forget(self, key: PoolKey) -> None:
        """The pool is gone, and its series with it."""
        self._ledgers.pop(key, None)

    def take(self) -> Page:
        """All figures as they are."""
        page = Page(self.declared)
        now = self._clock()
        for key, ledger in sorted(self._ledgers.items()):
            _put_state(page, key, ledger, now)
            _put_counts(page, key, ledger)
        return page


class Metrics(PoolMetrics):
    """`/metrics` of an operator: its pools and itself."""

    declared = (*POOL_METRICS, *OPERATOR_METRICS)

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._reconcile = Histogram(RECONCILE.bounds)
        self._gauges = {QUEUE_DEPTH.name: 0.0, LOOP_LAG.name: 0.0}
        self._leads: dict[str, bool] = {}
        self._watch_lag: dict[str, float] = {}
        self._requests: Counter[tuple[str, str]] = Counter()
        self._request_seconds: dict[tuple[str, str], Histogram] = {}

    def record_request(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """A request to the API server; `code` 0: there was no answer."""
        verb = verb if verb in VERBS else "other"
        self._requests[str(code) if 100 <= code <= 599 else "0", verb] += 1
        if verb != "watch":
            labels = verb, _resource(resource)
            if labels not in self._request_seconds:
                self._request_seconds[labels] = Histogram(REQUEST_SECONDS.bounds)
            self._request_seconds[labels].observe(seconds)

    def record_reconcile(self, seconds: float) -> None:
        self._reconcile.observe(seconds)

    def record_queue_depth(self, keys: int) -> None:
        self._gauges[QUEUE_DEPTH.name] = keys

    def record_watch_lag(self, resource: str, seconds: float) -> None:
        self._watch_lag[_resource(resource)] = seconds

    def record_loop_lag(self, seconds: float) -> None:
        self._gauges[LOOP_LAG.name] = seconds

    def record_leader(self, lease_namespace: str, leads: bool) -> None:
        """Whether this process holds the lease that is in this namespace."""
        self._leads[lease_namespace] = leads

    def take(self) -> Page:
        page = super().take()
        page.put_histogram(RECONCILE, self._reconcile)
        for metric in (QUEUE_DEPTH, LOOP_LAG):
            page.put(metric, self._gauges[metric.name])
        for lease_namespace, leads in self._leads.items():
            page.put(LEADER, leads, lease_namespace)
        for resource, lag_s in self._watch_lag.items():
            page.put(WATCH_LAG, lag_s, resource)
        for labels, number in sorted(self._requests.items()):
            page.put(REQUESTS, number, *labels)
        for labels, histogram in sorted(self._request_seconds.items()):
            page.put_histogram(REQUEST_SECONDS, histogram, *labels)
        return page


def _resource(name: str) -> str:
    return name if name in RESOURCES else "other"


def _put_state(page: Page, key: PoolKey, ledger: Ledger, now: float) -> None:
    """How the pool is, as its last pass saw it."""
    last, facts, counted = ledger.scene.last, ledger.scene.facts, ledger.scene.counted
    for state, number in sizes(counted).items():
        page.put(RUNNERS, number, *key, state)
    for state, number in (
        ("in_flight", counted.in_flight),
        ("queued", last.pool.sample.queued),
        ("free", counted.free),
        ("draining", counted.on_draining),
    ):
        page.put(SESSIONS, number, *key, state)
    page.put(DESIRED, 0 if facts.deleting else last.decision.target, *key)
    page.put(MOST, last.settings.max_runners, *key)
    if facts.stats_time is not None:
        page.put(STATS_AGE, max(0.0, now - facts.stats_time), *key)
    page.put(FALLBACK, int(last.decision.by_fallback), *key)
    old = bool(counted.others_than(last.revision))
    page.put(ROLLOUT_STEP, int(old and not facts.deleting), *key)
    if last.settings.on_timeout == "Terminate":
        _put_deadline(page, key, counted, now)


def _put_deadline(page: Page, key: PoolKey, counted: Tally, now: float) -> None:
    intents = [runner.intent for runner in counted.draining if runner.booked]
    ends = [(each.deadline, each.since) for each in intents if each.deadline is not None]
    if ends:
        deadline, since = min(ends, key=lambda end: end[0])
        page.put(DRAIN_DEADLINE, deadline - now, *key)
        page.put(DRAIN_TIMEOUT, deadline - (deadline if since is None else since), *key)


def _put_counts(page: Page, key: PoolKey, ledger: Ledger) -> None:
    """What happened to it since this process looks after it."""
    counters: tuple[tuple[Metric, Iterable[tuple[tuple[str, ...], float]]], ...] = (
        (DECISIONS, ledger.scale_decisions.items()),
        (DRAINS, ledger.drains.items()),
        (LOST, ledger.sessions_lost.items()),
        (FAILURES, ledger.start_failures.items()),
        (RUNNER_SECONDS, ledger.runner_seconds.items()),
    )
    for metric, counts in counters:
        for labels, number in counts:
            page.put(metric, number, *key, *labels)
    page.put(CONFLICTS, ledger.delete_conflicts, *key)
    for until, one in ledger.start_seconds.items():
        page.put_histogram(START_SECONDS, one, *key, until)
    for labels, one in ledger.drain_seconds.items():
        page.put_histogram(DRAIN_SECONDS, one, *key, *labels)
    page.put_histogram(CAPACITY_WAIT, ledger.capacity_wait, *key)
