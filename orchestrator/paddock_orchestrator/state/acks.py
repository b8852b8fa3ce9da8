"""Which of a runner's events may be acknowledged: all up to the first that is not durable."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Acks:
    """For one runner process, whose event numbers grow. An acknowledgement covers all below it."""

    highest: int = 0
    _waiting: set[int] = field(default_factory=set)

    def heard(self, seq: int, *, durable: bool) -> int:
        """An event came; the number to acknowledge now."""
        self.highest = max(self.highest, seq)
        if not durable:
            self._waiting.add(seq)
        return self._covered

    def saved(self, seq: int) -> int:
        """What had to be durable for this event is; the number to acknowledge now."""
        self._waiting.discard(seq)
        return self._covered

    @property
    def _covered(self) -> int:
        return min(self._waiting) - 1 if self._waiting else self.highest
