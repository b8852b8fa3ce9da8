"""Chance: everything that is drawn in a run comes from one seed."""

from dataclasses import dataclass
from random import Random


@dataclass(eq=False)
class Chaos:
    """`on`: faults happen. Off, everything works, if not always at once.

    `slowness`: how many times as often as usual something takes long.
    """

    random: Random
    on: bool = True
    slowness: float = 1.0

    def happens(self, probability: float) -> bool:
        """Whether a fault of this probability strikes now."""
        return self.on and self.random.random() < probability

    def soon(self, usual_s: float) -> float:
        """A short while, hardly ever the same."""
        return usual_s * (0.1 + self.random.random())

    def sometime(self, usual_s: float, longest_s: float, probability: float = 0.05) -> float:
        """Mostly a short while, now and then a long one."""
        if self.happens(min(0.5, probability * self.slowness)):
            return self.random.random() * longest_s
        return self.soon(usual_s)
