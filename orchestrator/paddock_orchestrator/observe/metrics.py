"""Every metric of the orchestrator, in one place.

Counts are kept by the state core and read at scrape time, so that the hot path pays for none of
them; only the latency of a start is observed as it happens.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from paddock_orchestrator.orchestrator import Orchestrator
    from paddock_orchestrator.state.book import Pool, Session

_POOL = ["organization", "agent"]


class Metrics:
    """`/metrics` of one process."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self.registry = CollectorRegistry()
        self._start = _Histogram(
            "paddock_orchestrator_start_seconds",
            "Time from an admitted start to its answer with a session.",
            (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )
        self._length = _Histogram(
            "paddock_orchestrator_session_seconds",
            "Length of ended sessions, from entrypoint to end of call.",
            (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200),
        )
        for collector in (self._start, self._length, _FromBook(orchestrator)):
            self.registry.register(collector)

    def started(self, seconds: float) -> None:
        self._start.observe(seconds)

    def ended(self, session: Session) -> None:
        if session.started_ms is not None and session.ended_ms is not None:
            self._length.observe(max(0, session.ended_ms - session.started_ms) / 1000.0)

    def render(self) -> bytes:
        return generate_latest(self.registry)


class _Histogram(Collector):
    """Counted on one thread, so without the lock of the library's own, which costs more."""

    def __init__(self, name: str, text: str, bounds: Sequence[float]) -> None:
        self._name = name
        self._text = text
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def collect(self) -> Iterator[Metric]:
        buckets, total = [], 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            total += count
            buckets.append((str(floatToGoString(bound)), float(total)))  # type: ignore[no-untyped-call]
        yield HistogramMetricFamily(self._name, self._text, buckets=buckets, sum_value=self._sum)


class _FromBook(Collector):
    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        pools = list(self._orchestrator.book.pools.values())
        yield from _sessions(pools)
        yield from _counters(pools)
        yield from self._process()

    def _process(self) -> Iterator[Metric]:
        orchestrator = self._orchestrator
        sockets = GaugeMetricFamily(
            "paddock_orchestrator_sockets", "Open WebSockets.", labels=["kind"]
        )
        runners = orchestrator.book.runners.values()
        sockets.add_metric(["runner"], sum(r.socket is not None for r in runners))
        sockets.add_metric(["bridge"], orchestrator.switchboard.bridges)
        sockets.add_metric(["text"], orchestrator.switchboard.callers)
        yield sockets
        health = orchestrator.journal.store.health()
        yield GaugeMetricFamily(
            "paddock_orchestrator_store_up", "1 while records can be written.", value=int(health.ok)
        )
        yield GaugeMetricFamily(
            "paddock_orchestrator_store_queue", "Writes that wait.", value=health.queued
        )
        yield GaugeMetricFamily(
            "paddock_orchestrator_store_commit_seconds",
            "Duration of the newest commit.",
            value=health.commit_s,
        )
        yield GaugeMetricFamily(
            "paddock_orchestrator_unsaved_ends",
            "Ended sessions whose end could not be written yet.",
            value=orchestrator.journal.unsaved,
        )


def _sessions(pools: list[Pool]) -> Iterator[Metric]:
    runners = GaugeMetricFamily(
        "paddock_orchestrator_runners", "Known runners.", labels=[*_POOL, "state"]
    )
    sessions = GaugeMetricFamily(
        "paddock_orchestrator_sessions", "Sessions by state.", labels=[*_POOL, "state"]
    )
    capacity = GaugeMetricFamily(
        "paddock_orchestrator_capacity", "Slots of connected, serving runners.", labels=_POOL
    )
    for pool in pools:
        name = [pool.org, pool.agent]
        states = Counter(
            "gone" if r.socket is None else "draining" if r.draining else "serving"
            for r in pool.runners.values()
        )
        for state in ("serving", "draining", "gone"):
            runners.add_metric([*name, state], states[state])
        sessions.add_metric([*name, "in_flight"], pool.in_flight)
        sessions.add_metric([*name, "queued"], len(pool.waiting))
        capacity.add_metric(name, pool.capacity)
    yield from (runners, sessions, capacity)


def _counters(pools: list[Pool]) -> Iterator[Metric]:
    plain = {
        name: CounterMetricFamily(f"paddock_orchestrator_{name}", text, labels=_POOL)
        for name, text in (
            ("arrivals", "Starts that reached capacity, answered or not."),
            ("answered", "Starts that got a session."),
            ("late", "Starts that waited longer than half a second or left."),
            ("completions", "Sessions that ended."),
        )
    }
    refused = CounterMetricFamily(
        "paddock_orchestrator_refusals", "Starts that got no session.", labels=[*_POOL, "reason"]
    )
    ended = CounterMetricFamily(
        "paddock_orchestrator_sessions_ended", "Ended sessions.", labels=[*_POOL, "reason"]
    )
    lost = CounterMetricFamily(
        "paddock_orchestrator_sessions_lost",
        "Sessions whose runner was lost, by how.",
        labels=[*_POOL, "cause"],
    )
    for pool in pools:
        name = [pool.org, pool.agent]
        for metric, family in plain.items():
            family.add_metric(name, getattr(pool.counters, metric))
        for reason, count in pool.counters.refused_for.items():
            refused.add_metric([*name, str(reason)], count)
        for reason, count in pool.counters.ended_for.items():
            ended.add_metric([*name, str(reason)], count)
        for cause, count in pool.counters.lost_for.items():
            lost.add_metric([*name, cause], count)
    yield from plain.values()
    yield from (refused, ended, lost)
