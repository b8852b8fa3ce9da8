"""A pool's bounds, and when it may sleep."""

from dataclasses import dataclass

from paddock_operator.autoscale.sample import PoolSample
from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.model.quantity import Size
from paddock_operator.model.scaling import SLEEP_AFTER_S


@dataclass(frozen=True, slots=True)
class Limits:
    """What no policy may leave, whatever it computes."""

    capacity: int
    """Sessions one runner takes."""
    minimum: int
    maximum: int
    warm: Size
    """Sessions to keep free."""
    sleep_after_s: float = SLEEP_AFTER_S
    cold_start_budget_s: float | None = None
    """Starts slower than this forbid sleeping; None: nothing does."""

    @classmethod
    def of(cls, manifest: AgentDeployment) -> "Limits":
        """The bounds a manifest sets."""
        scaling = manifest.spec.scaling
        sleep = scaling.scale_to_zero
        return cls(
            capacity=manifest.spec.sessions_per_runner,
            minimum=scaling.min_runners,
            maximum=scaling.max_runners,
            warm=scaling.warm,
            sleep_after_s=SLEEP_AFTER_S if sleep is None else sleep.after_seconds,
            cold_start_budget_s=None if sleep is None else sleep.cold_start_budget_seconds,
        )

    def clamp(self, runners: int) -> int:
        """`runners`, brought inside the bounds; the upper one wins."""
        return min(self.maximum, max(self.minimum, runners))

    def runners_for(self, sessions: int) -> int:
        """How many runners hold so many sessions."""
        return -(-sessions // self.capacity)


class Wakefulness:
    """Whether a pool that may go to zero has to stay up."""

    __slots__ = ("_limits", "_since")

    def __init__(self, limits: Limits, *, awake: bool) -> None:
        self._limits = limits
        self._since: float | None = None
        if not awake:
            self._since = float("-inf")

    def awake(self, sample: PoolSample, now: float, start_s: float | None) -> bool:
        """False once nothing happened for long enough, and waking up is quick enough.

        `start_s` is the start-up time that most starts keep; None when none was measured.
        """
        if sample.in_flight or sample.queued or sample.arrivals or self._since is None:
            self._since = now
        if self._limits.minimum > 0:
            return True
        budget = self._limits.cold_start_budget_s
        if budget is not None and start_s is not None and start_s > budget:
            return True
        return now - self._since < self._limits.sleep_after_s
