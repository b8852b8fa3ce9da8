"""What people see of a local pool: in `paddock status`, and wherever the orchestrator passes it."""

import time
from typing import Any

from paddock_operator.backends.processes.backend import Crash, ProcessBackend
from paddock_operator.plan.drain import drain_stage
from paddock_operator.plan.view import RunnerView
from paddock_operator.reconcile.reconciler import Pass


def pool_status(last: Pass, backend: ProcessBackend, problem: str) -> dict[str, Any]:
    """JSON-able: runners with their stage and resources, crashes with their last lines."""
    sample = last.pool.sample
    return {
        "backend": "processes",
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
        "runners": [_runner(r, backend) for r in last.pool.runners],
        "crashes": [_crash(c) for c in backend.crashes],
        "start_failures": last.failures,
    }


def _runner(runner: RunnerView, backend: ProcessBackend) -> dict[str, Any]:
    pid, cpu_s, rss = backend.usage(runner.runner_id)
    return {
        "runner": runner.runner_id,
        "revision": runner.revision,
        "stage": drain_stage(runner).value,
        "sessions": runner.booked,
        "capacity": runner.capacity,
        "age_s": round(time.time() - runner.created_at, 1),
        "pid": pid,
        "cpu_s": round(cpu_s, 2),
        "memory_mb": round(rss / 1e6, 1),
    }


def _crash(crash: Crash) -> dict[str, Any]:
    return {
        "runner": crash.runner_id,
        "revision": crash.revision,
        "ago_s": round(time.time() - crash.at, 1),
        "exit": crash.exit,
        "lines": list(crash.lines),
    }
