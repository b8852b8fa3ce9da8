"""What the planner sees of a pool. Built by a backend, the same for processes and pods."""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from paddock.protocol.words import Mode


class Phase(StrEnum):
    """Where a runner is, as its backend sees it."""

    PENDING = "pending"
    """Not placed anywhere yet, or stuck where it is: no process runs, no call can be there."""
    STARTING = "starting"
    """Runs, but has not registered with the orchestrator."""
    READY = "ready"
    """Registered; takes sessions unless its intent says drain."""
    TERMINATING = "terminating"
    """Was told to go for good (DELETE, SIGTERM): cannot be taken back."""
    FAILED = "failed"
    """Its process or pod is over."""


# Names of their own: rules ask for each runner, and half of their cost was a member's look-up.
PENDING, STARTING, READY, TERMINATING, FAILED = Phase
SERVE, DRAIN = Mode.SERVE, Mode.DRAIN


class DrainReason(StrEnum):
    SCALE_DOWN = "ScaleDown"
    ROLLOUT = "Rollout"
    NODE_CORDON = "NodeCordon"
    BROKEN = "Broken"
    POOL_DELETED = "PoolDeleted"


# Structs, where each pass makes one for each runner: a frozen dataclass takes five times as long.


class Intent(msgspec.Struct, frozen=True):
    """What was written down for a runner before it was told. `drain_epoch` only grows."""

    drain_epoch: int = 0
    mode: Mode = SERVE
    reason: DrainReason | None = None
    since: float | None = None
    """Wall clock, seconds; as `deadline`, absolute so that it survives the writer."""
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class BarrierReport:
    """The runner's own word: at `drain_epoch` it takes nothing new and holds `booked` sessions."""

    drain_epoch: int
    booked: int


class RunnerView(msgspec.Struct, frozen=True):
    runner_id: str
    revision: str
    phase: Phase
    created_at: float
    """Wall clock, seconds."""
    capacity: int
    placed_at: float | None = None
    """Wall clock, seconds: since when it has a place to run at; None: since it was created."""
    intent: Intent = Intent()
    report: BarrierReport | None = None
    """The newest report of this runner's present instance; None when it never reported."""
    booked: int | None = None
    """Sessions it holds as the orchestrator counts them; None when nothing fresh is known.
    Unknown gives neither capacity nor load, and is never a victim."""
    can_drain: bool = True
    """Obeys drain and serve and reports (level 2); False for an unmodified v2 runner."""
    ready_at: float | None = None
    oldest_session_s: float = 0.0
    """Age of its oldest session, for orders that ask for it."""
    node: str = ""
    """Where it runs, for the order EmptyNode."""
    cordoned: bool = False
    """Its node is going away: it is drained, and never taken back."""
    silent_since: float | None = None
    """Wall clock, seconds: since when nothing fresh is known of a READY runner."""

    @property
    def start_began_at(self) -> float:
        """Wall clock, seconds. Waiting for a node is no slow start."""
        return self.created_at if self.placed_at is None else self.placed_at


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """The part of an AgentDeployment that the planner obeys."""

    revision: str
    """The revision new runners are created with; runners of any other are replaced."""
    min_runners: int
    max_runners: int
    sessions_per_runner: int
    warm_sessions: int
    max_starting: int
    max_draining: int
    max_surge: int
    order: str
    """FewestSessions | ShortestRemaining | EmptyNode | Newest"""
    idle_only: bool
    """True: scale-down takes idle runners (Horizon); False: busy ones drain too (Buffer)."""
    drain_timeout_s: float
    warn_before_s: float
    on_timeout: str
    """Terminate | Keep"""
    undrain: bool
    undrain_old_revision: bool
    min_ready_s: float
    start_deadline_s: float
    progress_deadline_s: float
    paused: str
    """None | ScaleDown | ScaleUp | Scaling | Everything"""
    rollout: str = "Surge"
    """Surge | Paused"""


@dataclass(frozen=True, slots=True)
class PoolView:
    """Everything the planner may know of one pool at one instant."""

    runners: tuple[RunnerView, ...]
    queued: int
    fresh: bool
    """Statistics are fresh and plausible. When False nothing is drained for scale-down."""
    settings: PlanSettings
    deleting: bool = False
    """The pool itself is going away: drain everything, create nothing."""
    may_create_at: float = 0.0
    """Wall clock, seconds: crash back-off; nothing is created before it."""
    rollout_progress_at: float | None = None
    """Wall clock, seconds: when the roll-out began or last made a runner ready, as its owner
    remembers it across crashes; None: judged by the runners in view."""
