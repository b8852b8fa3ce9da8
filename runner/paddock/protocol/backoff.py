"""When to try again: full jitter under a doubling ceiling, so that a crowd spreads out."""

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Delays between attempts. `reset` after success, not after a mere connect."""

    first_s: float = 0.2
    ceiling_s: float = 5.0
    attempts: int = 0

    def next(self, random: float) -> float:
        """Seconds to wait; `random` is uniform in [0, 1)."""
        ceiling = min(self.ceiling_s, self.first_s * 2.0 ** min(self.attempts, 16))
        self.attempts += 1
        return max(0.02, ceiling * random)

    def reset(self) -> None:
        self.attempts = 0
