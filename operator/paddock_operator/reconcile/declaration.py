"""What the orchestrator is told of a pool, so that it knows when a start may wait. Pure."""

from typing import Any

from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.reconcile.passes import Pass

_NO_GROWTH = ("ScaleUp", "Scaling", "Everything")


def declaration(
    manifest: AgentDeployment, last: Pass, *, opening: bool, deleting: bool
) -> dict[str, Any]:
    """The body of the pool's PUT. A pool that cannot start runners does not let callers wait."""
    spec = manifest.spec
    most = spec.scaling.max_runners if spec.replicas is None else spec.replicas
    crash_looping = last.failures >= spec.failure.max_start_failures
    sessions = spec.sessions
    return {
        "max_slots": most * spec.sessions_per_runner,
        "growable": not deleting and spec.paused not in _NO_GROWTH and not crash_looping,
        "starting": last.pool.sample.starting,
        "placement": sessions.placement,
        "queue": {
            "timeout_s": float(sessions.queue_timeout_seconds),
            "max_length": sessions.max_queued,
            "wait_at_maximum": sessions.wait_at_maximum,
        },
        "max_duration_s": float(sessions.max_duration_seconds),
        "revision": last.revision,
        "desired": 0 if deleting else last.decision.target,
        "reason": last.plan.reason,
        "opening": opening,
    }
