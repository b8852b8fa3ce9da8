"""Statistics for autoscaling and `RunnerStats`: the same numbers, as a snapshot or a stream."""

from typing import Any

import msgspec

from paddock_orchestrator.state.book import Instant, Pool, Runner


class RunnerStatistics(msgspec.Struct, frozen=True):
    runner_id: str
    agent: str
    instance: str
    revision: str
    connected: bool
    suspect: bool
    draining: bool
    can_drain: bool
    capacity: int
    in_flight: int
    """Booked: offered, assigned, active, ending and orphaned sessions."""
    drain_epoch: int
    report: tuple[int, str, int] | None
    """Barrier report of this instance: (drain_epoch, mode, booked)."""
    startup_ms: int | None
    registered_ms: int
    oldest_session_ms: int | None
    """Wall clock of its oldest session's assignment."""


class PoolStatistics(msgspec.Struct, frozen=True):
    """Counters only grow while `boot` is the same."""

    agent: str
    in_flight: int
    queued: int
    capacity: int
    free: int
    arrivals: int
    completions: int
    answered: int
    late: int
    refusals: int
    completed_last_hour: int
    failed_last_hour: int
    mean_call_duration_s: float
    startups_ms: list[tuple[int, int]]
    """(sequence, milliseconds) of the newest start-ups."""
    closed: bool


def runner_statistics(runner: Runner) -> RunnerStatistics:
    assigned = [s.assigned_ms for s in runner.held.values() if s.assigned_ms is not None]
    return RunnerStatistics(
        runner_id=runner.runner_id,
        agent=runner.pool.agent,
        instance=runner.instance,
        revision=runner.revision,
        connected=runner.socket is not None,
        suspect=runner.suspect,
        draining=runner.draining,
        can_drain="drain" in runner.features,
        capacity=runner.capacity,
        in_flight=runner.used,
        drain_epoch=runner.drain_epoch,
        report=runner.report,
        startup_ms=runner.startup_ms,
        registered_ms=runner.registered_ms,
        oldest_session_ms=min(assigned, default=None),
    )


def pool_statistics(pool: Pool, now: Instant) -> PoolStatistics:
    hour = pool.last_hour.totals(now.mono)
    counters = pool.counters
    serving = [r for r in pool.runners.values() if r.socket is not None and not r.draining]
    return PoolStatistics(
        agent=pool.agent,
        in_flight=pool.in_flight,
        queued=len(pool.waiting),
        capacity=pool.capacity,
        free=sum(max(0, r.capacity - r.used) for r in serving),
        arrivals=counters.arrivals,
        completions=counters.completions,
        answered=counters.answered,
        late=counters.late,
        refusals=counters.refusals,
        completed_last_hour=hour.completed,
        failed_last_hour=hour.failed,
        mean_call_duration_s=hour.mean_s,
        startups_ms=list(pool.startups_ms),
        closed=pool.closed,
    )


class Deltas:
    """What changed since the last look, so that a quiet system is a quiet stream."""

    def __init__(self) -> None:
        self._sent: dict[tuple[str, str], msgspec.Struct] = {}

    def take(self, pools: list[Pool], now: Instant) -> dict[str, Any]:
        changed_pools: list[PoolStatistics] = []
        changed_runners: list[RunnerStatistics] = []
        seen: set[tuple[str, str]] = set()
        for pool in pools:
            statistics = pool_statistics(pool, now)
            if self._new(("pool", pool.agent), statistics, seen):
                changed_pools.append(statistics)
            for runner in pool.runners.values():
                each = runner_statistics(runner)
                if self._new(("runner", runner.runner_id), each, seen):
                    changed_runners.append(each)
        gone = [key for key in self._sent if key not in seen]
        for key in gone:
            del self._sent[key]
        return {
            "pools": changed_pools,
            "runners": changed_runners,
            "gone": [name for kind, name in gone if kind == "runner"],
        }

    def _new(self, key: tuple[str, str], value: msgspec.Struct, seen: set[tuple[str, str]]) -> bool:
        seen.add(key)
        if self._sent.get(key) == value:
            return False
        self._sent[key] = value
        return True
