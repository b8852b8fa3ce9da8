"""A status in which nothing is left out."""

from paddock_operator.model.conditions import (
    POOL_CONDITIONS,
    REASONS,
    Condition,
    ConditionType,
    State,
)
from paddock_operator.model.status import (
    DrainStatus,
    PoolStatus,
    RevisionStatus,
    ScalingStatus,
    SessionCounts,
)

NOW = 1795226400.0
"""2026-11-21T02:00:00Z"""


def condition(kind: ConditionType, *, message: str = "said so") -> Condition:
    """A condition that is true, for the first of its reasons."""
    reason = min(REASONS[kind][State.TRUE])
    return Condition(kind, State.TRUE, reason, message, NOW, 7)


FULL = PoolStatus(
    observed_generation=7,
    selector="paddock.dev/pool=support-en",
    replicas=8,
    starting=1,
    ready=5,
    idle=1,
    draining=1,
    unknown=1,
    sessions=SessionCounts(capacity=20, in_flight=14, queued=2, free=6, draining=3),
    desired_runners=9,
    scaling=ScalingStatus("hold 5 runners: 14 in flight", NOW, 3),
    revision=RevisionStatus("5f9c0a1b", "77ab0a1b", 2, 1),
    stats_time=NOW,
    drain_levels={2: 6, 3: 2},
    drains=(DrainStatus("support-en-5f9c0a1b-x", "Rollout", NOW, NOW + 3600, 2),),
    conditions=tuple(map(condition, POOL_CONDITIONS)),
)
