"""How long to wait before a runner that died is replaced: doubling, none again after health."""

from dataclasses import dataclass


@dataclass(slots=True)
class CrashBackoff:
    """`first_s`, doubled for each start that failed in a row, at most `ceiling_s`. Wall clock."""

    first_s: float
    ceiling_s: float
    failures: int = 0
    may_create_at: float = 0.0

    def failed(self, now: float, *, lived_s: float) -> None:
        """A runner died. One that had served for a while was no failed start: replaced at once."""
        if lived_s > self.ceiling_s:
            self.failures = 0
        self.failures += 1
        delay_s = min(self.ceiling_s, self.first_s * 2.0 ** (self.failures - 1))
        if self.failures == 1 and lived_s > self.first_s:
            delay_s = 0.0
        self.may_create_at = max(self.may_create_at, now + delay_s)

    def became_ready(self) -> None:
        """A runner created since has registered: starts work."""
        self.failures = 0
