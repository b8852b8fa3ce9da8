"""Short ways to write down runners and pools."""

from dataclasses import replace
from typing import Any

from paddock.protocol.words import Mode
from paddock_operator.autoscale.sample import Decision
from paddock_operator.plan.view import (
    BarrierReport,
    DrainReason,
    Intent,
    Phase,
    PlanSettings,
    PoolView,
    RunnerView,
)

NOW = 10_000.0
TIMEOUT_S = 3600.0

SETTINGS = PlanSettings(
    revision="new",
    min_runners=0,
    max_runners=20,
    sessions_per_runner=4,
    warm_sessions=0,
    max_starting=100,
    max_draining=100,
    max_surge=2,
    order="FewestSessions",
    idle_only=False,
    drain_timeout_s=TIMEOUT_S,
    warn_before_s=60.0,
    on_timeout="Terminate",
    undrain=True,
    undrain_old_revision=True,
    min_ready_s=10.0,
    start_deadline_s=300.0,
    progress_deadline_s=600.0,
    paused="None",
)


def runner(runner_id: str, booked: int | None = 0, **changes: Any) -> RunnerView:
    """A serving runner of the present revision with four slots, ready for long."""
    fields: dict[str, Any] = {
        "runner_id": runner_id,
        "revision": "new",
        "phase": Phase.READY,
        "created_at": NOW - 1000.0,
        "ready_at": NOW - 990.0,
        "capacity": 4,
        "booked": booked,
    }
    return RunnerView(**{**fields, **changes})


def starting(runner_id: str, phase: Phase = Phase.STARTING, **changes: Any) -> RunnerView:
    fields: dict[str, Any] = {"phase": phase, "created_at": NOW - 5.0, "ready_at": None}
    return runner(runner_id, None, **{**fields, **changes})


def pending(runner_id: str, **changes: Any) -> RunnerView:
    return starting(runner_id, Phase.PENDING, **changes)


def draining(
    runner_id: str,
    booked: int | None = 1,
    reason: DrainReason = DrainReason.SCALE_DOWN,
    *,
    epoch: int = 1,
    since: float = NOW - 100.0,
    reported: int | None = None,
    **changes: Any,
) -> RunnerView:
    """A runner told to drain at `epoch`; `reported` is what it answered at that epoch."""
    report = BarrierReport(epoch, reported) if reported is not None else None
    intent = Intent(epoch, Mode.DRAIN, reason, since, since + TIMEOUT_S)
    return runner(runner_id, booked, **{"intent": intent, "report": report, **changes})


def pool(*runners: RunnerView, **changes: Any) -> PoolView:
    """A fresh view without a queue; `changes` go to the view or, by name, to its settings."""
    of_view = {"queued", "fresh", "deleting", "may_create_at", "rollout_progress_at"}
    settings = replace(SETTINGS, **{k: v for k, v in changes.items() if k not in of_view})
    view = PoolView(runners=runners, queued=0, fresh=True, settings=settings)
    return replace(view, **{k: v for k, v in changes.items() if k in of_view})


def want(target: int) -> Decision:
    return Decision(target=target, wanted=target, reason="as the test says")
