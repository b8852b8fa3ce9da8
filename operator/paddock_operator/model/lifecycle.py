"""How sessions are treated, and how runners leave, are replaced and are protected."""

from typing import Annotated, Literal

from pydantic import Field

from paddock_operator.model.base import Part, Percent, Runners, Seconds, SomeSeconds
from paddock_operator.model.quantity import IntOrPercent, Size

PausedWord = Literal["None", "ScaleDown", "ScaleUp", "Scaling", "Everything"]


class Sessions(Part):
    """How the orchestrator treats this agent's sessions."""

    queue_timeout_seconds: Seconds = Field(default=30, description="A start waits at most so long.")
    max_queued: int = Field(
        default=100, ge=0, le=100_000, description="Starts that may wait at once."
    )
    wait_at_maximum: bool = Field(
        default=False, description="true: starts wait at maxRunners, too, instead of a 429."
    )
    max_duration_seconds: SomeSeconds = Field(
        default=7200, description="A session is ended after this."
    )
    placement: Literal["Packed", "Spread"] = Field(
        default="Packed", description="Packed fills the busiest runner first, Spread the idlest."
    )


class Drain(Part):
    """How a runner leaves."""

    timeout_seconds: Seconds = Field(
        default=3600, description="A draining runner may finish its sessions for so long."
    )
    on_timeout: Literal["Terminate", "Keep"] = Field(
        default="Terminate",
        description="Keep never ends a session: the runner stays until it is empty.",
    )
    warn_before_seconds: Seconds = Field(
        default=60, description="The runner is warned so long before the deadline."
    )
    undrain: Literal["Allowed", "Never"] = Field(
        default="Allowed",
        description="Whether a draining runner may be taken back when demand returns.",
    )


class RolloutStep(Part):
    """One step of a gradual roll-out."""

    percent: int = Field(ge=1, le=99, description="Share of runners on the new revision.")
    pause_seconds: Seconds = Field(default=300, description="How long the step is watched.")
    max_failed_percent: Percent = Field(
        default=2, description="More failed sessions than this stop it."
    )


class Rollout(Part):
    """How runners are replaced when the template changes."""

    type: Literal["Surge", "OnIdle", "DrainFirst", "Paused"] = Field(
        default="Surge",
        description="Surge starts the new before draining the old; Paused replaces nothing. OnIdle "
        "and DrainFirst are not served yet.",
    )
    max_surge: IntOrPercent = Field(
        default=Size(25, percent=True), description="Runners above maxRunners during a roll-out."
    )
    min_ready_seconds: Seconds = Field(
        default=10, description="Ready for so long counts as available."
    )
    progress_deadline_seconds: Seconds = Field(
        default=600, description="No progress for so long stops the roll-out."
    )
    steps: Annotated[tuple[RolloutStep, ...], Field(strict=False, max_length=20)] = Field(
        default=(), description="Steps with rising percent. Not served yet."
    )
    undrain_old_revision: Literal["WhenSaturated", "Never"] = Field(
        default="WhenSaturated",
        description="Whether old runners may be taken back when all is full.",
    )
    revision_history_limit: int = Field(
        default=5, ge=0, le=100, description="Old revisions to keep."
    )


class Disruption(Part):
    """Protection against the cluster's own doings."""

    protect: Literal["Always", "Never"] = Field(
        default="Always", description="Refuse evictions and consolidation of runners."
    )
    drain_on_cordon: bool = Field(default=True, description="Drain the runners of a cordoned node.")


class Fallback(Part):
    """What to do without statistics."""

    stale_after_seconds: Seconds = Field(
        default=15, description="Statistics older than this allow no scale-down."
    )
    after_seconds: Seconds = Field(
        default=60, description="After so long the behaviour below applies."
    )
    behavior: Literal["HoldOrRaise", "Hold", "Static"] = Field(
        default="HoldOrRaise",
        description="Hold keeps the size, HoldOrRaise raises it to `runners`, Static sets it so.",
    )
    runners: Runners | None = Field(
        default=None, description="The size to raise to or to set; required by Static."
    )


class Failure(Part):
    """How runners that do not start are retried."""

    backoff_seconds: Seconds = Field(default=10, description="First pause after a failed start.")
    max_backoff_seconds: Seconds = Field(
        default=300, description="Longest pause after failed starts."
    )
    max_start_failures: int = Field(
        default=5, ge=1, le=1000, description="Failed starts in a row that make the pool Degraded."
    )
    start_deadline_seconds: SomeSeconds = Field(
        default=300, description="A runner that is not ready by then is replaced."
    )
