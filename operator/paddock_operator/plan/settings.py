"""From a manifest to the numbers a planner obeys."""

from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.plan.view import PlanSettings


def plan_settings(
    manifest: AgentDeployment, revision: str, *, serving_and_starting: int, demand: int = 0
) -> PlanSettings:
    """The settings for a pool of `serving_and_starting` runners and `demand` sessions.

    Percentages of runners round up, to at least 1. A percentage of warm sessions is that share of
    all sessions the pool has room for: it grows with `demand`, in flight and queued. A size set by
    hand has no reserve beside it.
    """
    spec = manifest.spec
    scaling = spec.scaling
    by_hand = spec.replicas is not None
    return PlanSettings(
        revision=revision,
        min_runners=scaling.min_runners,
        max_runners=scaling.max_runners,
        sessions_per_runner=spec.sessions_per_runner,
        warm_sessions=0 if by_hand else scaling.warm.reserve(demand),
        max_starting=scaling.scale_up.max_starting.of(serving_and_starting),
        max_draining=scaling.scale_down.max_draining.of(serving_and_starting),
        max_surge=spec.rollout.max_surge.of(serving_and_starting),
        order=scaling.scale_down.order,
        idle_only=scaling.policy == "Horizon",
        drain_timeout_s=float(spec.drain.timeout_seconds),
        warn_before_s=float(spec.drain.warn_before_seconds),
        on_timeout=spec.drain.on_timeout,
        undrain=spec.drain.undrain == "Allowed",
        undrain_old_revision=spec.rollout.undrain_old_revision == "WhenSaturated",
        min_ready_s=float(spec.rollout.min_ready_seconds),
        start_deadline_s=float(spec.failure.start_deadline_seconds),
        progress_deadline_s=float(spec.rollout.progress_deadline_seconds),
        paused=spec.paused,
        rollout=spec.rollout.type,
    )
