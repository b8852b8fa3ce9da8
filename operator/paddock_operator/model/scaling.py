"""How large a pool may be, and how its size is decided."""

from typing import Annotated, Literal

from pydantic import Field

from paddock_operator.model.base import NAME_PATTERN, Part, Runners, Seconds, SomeRunners
from paddock_operator.model.quantity import IntOrPercent, Size

BUFFER_WINDOW_S = 300
SLEEP_AFTER_S = 600

PolicyName = Literal["Horizon", "Buffer"]
VictimOrder = Literal["FewestSessions", "ShortestRemaining", "EmptyNode", "Newest"]


class ScaleUp(Part):
    """Limits on growing."""

    max_starting: IntOrPercent = Field(
        default=Size(100),
        description="Runners that may be starting at once; a percentage of all runners.",
    )


class ScaleDown(Part):
    """Limits on shrinking, and who goes first."""

    max_draining: IntOrPercent = Field(
        default=Size(25, percent=True),
        description="Runners that may be draining at once; a percentage of all runners.",
    )
    order: VictimOrder = Field(default="FewestSessions", description="Which runners leave first.")
    stabilization_seconds: Seconds | None = Field(
        default=None,
        description="A runner is given up only when it was not wanted for so long. Left out: the "
        "measured start-up time under Horizon, 300 under Buffer.",
    )


class ScaleToZero(Part):
    """When a pool with minRunners 0 may sleep."""

    after_seconds: Seconds = Field(
        default=SLEEP_AFTER_S,
        description="Without any session for so long, the last runner leaves.",
    )
    cold_start_budget_seconds: Seconds = Field(
        default=20, description="Never sleep while 95 % of measured starts do not fit into this."
    )


class Schedule(Part):
    """A recurring time in which the pool's floor is higher."""

    name: str = Field(pattern=NAME_PATTERN, max_length=63, description="Unique in the list.")
    cron: str = Field(min_length=9, max_length=100, description="When it begins, as five fields.")
    time_zone: str = Field(
        default="Etc/UTC", max_length=64, description="IANA name of the time zone."
    )
    duration_seconds: Seconds = Field(description="How long it lasts.")
    min_runners: Runners | None = Field(default=None, description="Floor while it lasts.")
    warm_sessions: IntOrPercent | None = Field(
        default=None, description="Free sessions while it lasts."
    )


class Scaling(Part):
    """The pool's size."""

    policy: PolicyName = Field(
        default="Horizon",
        description="Horizon predicts the sessions of one start-up time ahead; Buffer keeps a "
        "fixed number of sessions free.",
    )
    min_runners: Runners = Field(default=1, description="Never fewer; 0 lets the pool sleep.")
    max_runners: SomeRunners = Field(
        default=10, description="Never more, counting starting, serving and draining runners."
    )
    warm_sessions: IntOrPercent | None = Field(
        default=None,
        description="Sessions to keep free on top of the demand. Left out: 0 under Horizon, "
        "1 under Buffer.",
    )
    objective_percent: float = Field(
        default=99, ge=50, le=99.99, description="Horizon: the share of starts to answer at once."
    )
    startup_seconds_hint: float = Field(
        default=20,
        gt=0,
        le=3600,
        description="Horizon: expected start-up time, until it is measured.",
    )
    mean_session_seconds_hint: float = Field(
        default=180,
        ge=1,
        le=86400,
        description="Horizon: expected session length, until it is measured.",
    )
    scale_up: ScaleUp = Field(default_factory=ScaleUp, description="Limits on growing.")
    scale_down: ScaleDown = Field(default_factory=ScaleDown, description="Limits on shrinking.")
    scale_to_zero: ScaleToZero | None = Field(
        default=None, description="When the pool may sleep; needs minRunners 0."
    )
    schedules: Annotated[tuple[Schedule, ...], Field(strict=False, max_length=32)] = Field(
        default=(), description="Recurring times with a higher floor. Not served yet."
    )

    @property
    def warm(self) -> Size:
        """`warm_sessions`, or what the policy keeps free by itself."""
        if self.warm_sessions is not None:
            return self.warm_sessions
        return Size(1 if self.policy == "Buffer" else 0)

    @property
    def hold_s(self) -> float | None:
        """How long a higher target is held; None is "as long as a start takes"."""
        if self.scale_down.stabilization_seconds is not None:
            return float(self.scale_down.stabilization_seconds)
        return float(BUFFER_WINDOW_S) if self.policy == "Buffer" else None
