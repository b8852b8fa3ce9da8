"""A pass with what it does not show itself: what is told of a pool is told of its scenes."""

from dataclasses import dataclass
from functools import cached_property

from paddock_operator.observe.facts import PoolFacts
from paddock_operator.observe.tally import Tally, tally
from paddock_operator.reconcile.passes import Pass


@dataclass(frozen=True)
class Scene:
    """One pass with its facts, and when it was made (wall clock, seconds)."""

    last: Pass
    facts: PoolFacts
    at: float

    @cached_property
    def counted(self) -> Tally:
        """Its runners, counted. Four ask for it, and of thousands it is a stall each time."""
        return tally(self.last, self.facts, self.at)
