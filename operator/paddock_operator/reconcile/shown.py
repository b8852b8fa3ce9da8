"""What the orchestrator shows of a pool to those who ask it, whatever the backend. Pure."""

from typing import Any

from paddock_operator.plan.drain import drain_stage
from paddock_operator.plan.view import RunnerView
from paddock_operator.reconcile.passes import Pass


def shown(last: Pass, *, backend: str, problem: str, now: float) -> dict[str, Any]:
    """JSON-able; a backend adds to the pool and to its runners what only it knows."""
    sample = last.pool.sample
    return {
        "backend": backend,
        "revision": last.revision,
        "desired": last.decision.target,
        "scaling": {
            "reason": last.plan.reason,
            "sizing": last.decision.reason,
            "limited": last.decision.limited,
        },
        "fresh": last.fresh,
        "problem": problem,
        "ready": sample.ready,
        "starting": sample.starting,
        "draining_sessions": sample.draining_sessions,
        "runners": [_runner(runner, now) for runner in last.pool.runners],
        "crashes": [],
        "start_failures": last.failures,
    }


def _runner(runner: RunnerView, now: float) -> dict[str, Any]:
    return {
        "runner": runner.runner_id,
        "revision": runner.revision,
        "stage": drain_stage(runner).value,
        "sessions": runner.booked,
        "capacity": runner.capacity,
        "created_at": round(runner.created_at, 1),
        "node": runner.node,
    }
