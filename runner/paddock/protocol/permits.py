"""How many sessions a runner may begin in a minute, by the same rule at both ends."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Permits:
    """At most `limit` starts in any `period_s`: exact, as the peer enforces the same rule."""

    limit: int
    period_s: float
    taken: list[float] = field(default_factory=list)

    def _forget(self, now: float) -> None:
        oldest = now - self.period_s
        while self.taken and self.taken[0] <= oldest:
            del self.taken[0]

    def take(self, now: float) -> bool:
        self._forget(now)
        if len(self.taken) >= self.limit:
            return False
        self.taken.append(now)
        return True

    def due_in(self, now: float) -> float:
        self._forget(now)
        if len(self.taken) < self.limit:
            return 0.0
        return max(0.0, self.taken[0] + self.period_s - now) if self.taken else float("inf")
