"""What is observed and what is heard, put together for the planner and the policy. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from paddock_operator.autoscale.sample import PoolSample
from paddock_operator.plan.view import DRAIN, PENDING, READY, SERVE, STARTING, RunnerView
from paddock_operator.reconcile.backend import Observed
from paddock_operator.signals.feed import Counts, Feed, RunnerSignal


@dataclass(frozen=True, slots=True)
class Pool:
    """The runners at one instant, and the sample that goes with them."""

    runners: tuple[RunnerView, ...]
    sample: PoolSample


def look(
    observed: Sequence[Observed],
    feed: Feed,
    counts: Counts,
    *,
    fresh: bool,
    capacity: int,
    drain_on_cordon: bool,
    expected_start_s: float,
    now: float,
    silent_since: dict[str, float],
) -> Pool:
    """Put a pool together. The caller keeps `silent_since`: who went quiet when."""
    signals = {o.runner_id: _signal(o, feed) for o in observed}
    runners = tuple(
        _runner(o, signals[o.runner_id], fresh, capacity, drain_on_cordon, now, silent_since)
        for o in observed
    )
    for name in set(silent_since) - set(signals):
        del silent_since[name]
    held = {name: signal.booked for name, signal in signals.items() if signal is not None}
    return Pool(runners, _sample(runners, held, feed.queued, counts, fresh, expected_start_s, now))


def _signal(observed: Observed, feed: Feed) -> RunnerSignal | None:
    """What is heard of this very runner. One that tells no instance cannot be told apart."""
    signal = feed.runners.get(observed.runner_id)
    if signal is None or not signal.instance or not observed.incarnation:
        return signal
    return signal if signal.instance.startswith(observed.incarnation) else None


def _runner(
    observed: Observed,
    signal: RunnerSignal | None,
    fresh: bool,
    capacity: int,
    drain_on_cordon: bool,
    now: float,
    silent_since: dict[str, float],
) -> RunnerView:
    cordoned = observed.cordoned and drain_on_cordon
    if signal is None:
        return RunnerView(
            runner_id=observed.runner_id,
            revision=observed.revision,
            phase=observed.phase,
            created_at=observed.created_at,
            placed_at=observed.placed_at,
            capacity=capacity,
            intent=observed.intent,
            node=observed.node,
            cordoned=cordoned,
        )
    known = fresh and (signal.connected or signal.booked > 0)
    if known and signal.connected:
        silent_since.pop(observed.runner_id, None)
    else:
        silent_since.setdefault(observed.runner_id, now)
    oldest = signal.oldest_assigned_s
    registered = observed.phase is STARTING
    return RunnerView(
        runner_id=observed.runner_id,
        revision=observed.revision,
        phase=READY if registered else observed.phase,
        created_at=observed.created_at,
        placed_at=observed.placed_at,
        capacity=min(capacity, signal.capacity),
        intent=observed.intent,
        node=observed.node,
        cordoned=cordoned,
        report=signal.report,
        booked=signal.booked if fresh and signal.connected else None,
        can_drain=signal.can_drain,
        ready_at=signal.registered_s,
        oldest_session_s=0.0 if oldest is None else max(0.0, now - oldest),
        silent_since=silent_since.get(observed.runner_id),
    )


def _sample(
    runners: Sequence[RunnerView],
    held: Mapping[str, int],
    queued: int,
    counts: Counts,
    fresh: bool,
    expected_start_s: float,
    now: float,
) -> PoolSample:
    serving = [r for r in runners if r.intent.mode is SERVE]
    starting = [r for r in serving if r.phase in (PENDING, STARTING)]
    leaving = [r for r in runners if r.intent.mode is DRAIN]
    return PoolSample(
        in_flight=sum(held.get(r.runner_id, 0) for r in serving if r.phase is READY),
        queued=queued,
        arrivals=counts.arrivals,
        completions=counts.completions,
        answered=counts.answered,
        late=counts.late,
        startup_times_s=counts.startup_times_s,
        ready=sum(r.phase is READY and r.booked is not None for r in serving),
        starting=len(starting),
        overdue_starts=sum(now - r.created_at > 3.0 * expected_start_s for r in starting),
        draining_sessions=sum(held.get(r.runner_id, 0) for r in leaving),
        fresh=fresh,
    )
