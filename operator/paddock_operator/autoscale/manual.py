"""A size set by hand."""

from collections.abc import Mapping

from paddock_operator.autoscale.sample import Decision, PoolSample
from paddock_operator.autoscale.settle import plural


class Manual:
    """Always the size that was written down; what an earlier policy learned is kept for later."""

    def __init__(self, replicas: int, learned: Mapping[str, object] | None) -> None:
        self._replicas = replicas
        self._learned = dict(learned or {})

    def decide(self, sample: PoolSample, now: float) -> Decision:
        """The fixed size, whatever the sample says."""
        reason = f"Manual: {plural(self._replicas)}, set by replicas; autoscaling is off"
        return Decision(self._replicas, self._replicas, reason)

    def export(self) -> dict[str, object]:
        """The learned state it was given."""
        return dict(self._learned)
