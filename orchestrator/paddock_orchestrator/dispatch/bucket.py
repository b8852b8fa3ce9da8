"""A token bucket: so many starts a period, saved up to a burst."""

from dataclasses import dataclass


@dataclass(slots=True)
class TokenBucket:
    """Refilled continuously at `rate_per_s` up to `burst`. `now` is monotonic seconds."""

    rate_per_s: float
    burst: float
    tokens: float
    at: float

    @classmethod
    def full(cls, rate_per_s: float, burst: float, now: float) -> "TokenBucket":
        return cls(rate_per_s, burst, burst, now)

    def _refill(self, now: float) -> None:
        if now > self.at:
            self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate_per_s)
            self.at = now

    def take(self, now: float) -> bool:
        """Spend one token; False, and nothing spent, when there is none."""
        self._refill(now)
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True

    def due_in(self, now: float) -> float:
        """Seconds until a token is there; 0.0 when one is."""
        self._refill(now)
        if self.tokens >= 1.0:
            return 0.0
        return (1.0 - self.tokens) / self.rate_per_s if self.rate_per_s > 0 else float("inf")
