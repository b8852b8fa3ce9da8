"""What comes of one look at a pool."""

from dataclasses import dataclass

from paddock_operator.autoscale.sample import Decision
from paddock_operator.plan.actions import Plan
from paddock_operator.plan.view import PlanSettings
from paddock_operator.reconcile.backend import Observed
from paddock_operator.reconcile.view import Pool


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass saw and did, for status and logs."""

    observed: tuple[Observed, ...]
    pool: Pool
    settings: PlanSettings
    decision: Decision
    plan: Plan
    revision: str
    fresh: bool
    failures: int
    called_off: int = 0
    """Ends that came too late: the intent was not that of the decision any more."""
    arrivals_per_s: float | None = None
    """None until it was seen for long enough."""
    start_p95_s: float | None = None
    """Seconds from created to ready that most starts keep; None when none was measured."""
