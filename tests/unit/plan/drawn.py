"""Pools in any state, likely or not, for property tests."""

from dataclasses import replace

from hypothesis import strategies as st

from fakes.pools import NOW, SETTINGS, TIMEOUT_S
from paddock.protocol.words import Mode
from paddock_operator.plan.view import (
    BarrierReport,
    DrainReason,
    Intent,
    Phase,
    PlanSettings,
    PoolView,
    RunnerView,
)

CAPACITY = 3
PLACED = (Phase.STARTING, Phase.READY)
ages = st.sampled_from([0.0, 1.0, 20.0, 400.0, 900.0, 3500.0, 3550.0, 3605.0, 5000.0])


@st.composite
def intents(draw: st.DrawFn) -> Intent:
    epoch = draw(st.integers(0, 3))
    if epoch == 0 or draw(st.booleans()):
        return Intent(drain_epoch=epoch)
    since = NOW - draw(ages)
    reason = draw(st.sampled_from(DrainReason))
    return Intent(epoch, Mode.DRAIN, reason, since, since + TIMEOUT_S)


@st.composite
def runners(draw: st.DrawFn, runner_id: str) -> RunnerView:
    phase = draw(st.sampled_from(Phase) | st.just(Phase.READY))
    ready = phase is Phase.READY
    created_at = NOW - draw(ages)
    intent = draw(intents())
    reports = st.builds(BarrierReport, st.integers(0, intent.drain_epoch), st.integers(0, CAPACITY))
    booked = st.integers(0, CAPACITY + 1)
    return RunnerView(
        runner_id=runner_id,
        revision=draw(st.sampled_from(["new", "new", "old", "older"])),
        phase=phase,
        created_at=created_at,
        capacity=CAPACITY,
        intent=intent,
        report=draw(st.none() | reports) if phase in PLACED else None,
        booked=draw(st.none() | booked if ready or phase is Phase.TERMINATING else st.none()),
        can_drain=draw(st.sampled_from([True, True, False])),
        ready_at=draw(st.sampled_from([created_at, NOW])) if ready else None,
        oldest_session_s=draw(ages),
        node=draw(st.sampled_from(["a", "b"])),
        cordoned=draw(st.sampled_from([False, False, False, True])),
        silent_since=draw(st.none() | ages.map(lambda age: NOW - age)),
    )


def plan_settings() -> st.SearchStrategy[PlanSettings]:
    return st.builds(
        lambda **changes: replace(SETTINGS, sessions_per_runner=CAPACITY, **changes),
        min_runners=st.integers(0, 2),
        max_runners=st.integers(2, 10),
        warm_sessions=st.integers(0, 4),
        max_starting=st.integers(1, 8),
        max_draining=st.integers(1, 6),
        max_surge=st.integers(0, 3),
        order=st.sampled_from(["FewestSessions", "ShortestRemaining", "EmptyNode", "Newest"]),
        idle_only=st.booleans(),
        on_timeout=st.sampled_from(["Terminate", "Keep"]),
        undrain=st.sampled_from([True, True, False]),
        undrain_old_revision=st.booleans(),
        paused=st.sampled_from(
            ["None", "None", "None", "ScaleDown", "ScaleUp", "Scaling", "Everything"]
        ),
        rollout=st.sampled_from(["Surge", "Surge", "Paused"]),
    )


@st.composite
def pools(draw: st.DrawFn) -> PoolView:
    count = draw(st.integers(0, 8))
    return PoolView(
        runners=tuple(draw(runners(f"r{number}")) for number in range(count)),
        queued=draw(st.sampled_from([0, 0, 0, 2])),
        fresh=draw(st.sampled_from([True, True, True, False])),
        settings=draw(plan_settings()),
        deleting=draw(st.sampled_from([False, False, False, False, True])),
        may_create_at=draw(st.sampled_from([0.0, 0.0, NOW + 7.0])),
        rollout_progress_at=draw(st.none() | ages.map(lambda age: NOW - age)),
    )
