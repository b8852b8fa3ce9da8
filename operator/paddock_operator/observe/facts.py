"""What a pass does not show of a pool: what only the backend and the signals know. Plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from paddock_operator.reconcile.reconciler import Reconciler

ConnectionTrouble = Literal["Unreachable", "Unauthorized", "MissingSecret", "Invalid"]
TemplateTrouble = Literal["Invalid", "Forbidden", "AgentTaken"]


@dataclass(frozen=True, slots=True)
class ConnectionProblem:
    """Why the orchestrator cannot be asked; the message without a full stop."""

    reason: ConnectionTrouble
    message: str = ""


@dataclass(frozen=True, slots=True)
class TemplateProblem:
    """Why no pod is made of the template. Of an agent that is taken the message is its owner."""

    reason: TemplateTrouble
    message: str = ""


@dataclass(frozen=True, slots=True)
class PodTroubles:
    """How many pods wait for what, each with one message that stands for all of them."""

    image_pull_failed: int = 0
    image_pull_message: str = ""
    unschedulable: int = 0
    unschedulable_message: str = ""
    crash_looping: int = 0
    crash_message: str = ""
    stuck: Mapping[str, str] = field(default_factory=dict)
    """Pods by name, and why they wait: `image_pull`, `unschedulable` or `crashed`."""


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """Beside a pass, all that its status is made of. The default: nothing is wrong."""

    connection_problem: ConnectionProblem | None = None
    never_reported: bool = False
    """The orchestrator has not been heard since this process began to listen."""
    stats_time: float | None = None
    """Wall clock, seconds: when the newest statistics were made."""
    inconsistent: bool = False
    """Statistics that cannot be: too much is missing at once."""
    quota_message: str = ""
    """What a quota refused; "" when nothing was refused."""
    forbidden: str = ""
    """What the operator may not do, in the API server's words."""
    template_problem: TemplateProblem | None = None
    overlapping_pdb: str = ""
    """A PodDisruptionBudget of somebody else that selects the pool's pods."""
    pods: PodTroubles = PodTroubles()
    capacity_claimed_less: tuple[str, ...] = ()
    """Runners that claim fewer slots than sessionsPerRunner."""
    levels: Mapping[str, int] = field(default_factory=dict)
    """Drain level of each runner."""
    deleting: bool = False
    rollout_progress_at: float | None = None
    """Wall clock, seconds: when the roll-out began or last made a runner ready."""


def facts_of(reconciler: Reconciler, *, now: float, mono: float) -> PoolFacts:
    """What every pool's own reconciler knows; its backend may know more."""
    feed = reconciler.feed
    silent_s = feed.silent_s(mono)
    return PoolFacts(
        never_reported=not feed.ever,
        stats_time=None if silent_s is None else now - silent_s,
        inconsistent=feed.ever and not feed.fresh(mono) and (silent_s or 0) <= feed.stale_after_s,
        deleting=reconciler.deleting,
        rollout_progress_at=reconciler.rollout_progress_at,
    )
