"""What a pool learns about itself: session ends, start-up times, burstiness, its own error."""

import math
from collections import deque
from collections.abc import Iterable
from typing import Final

_MEMORY_S: Final = 3600.0
_PRIOR_SESSIONS: Final = 10.0
_SHORTEST_SESSION_S: Final = 0.1
_STARTS_KEPT: Final = 50
_PERIOD_S: Final = 20
_GOAL: Final = 0.9
"""Share of the allowed late starts to aim at: steering needs room on both sides."""


class EndHazard:
    """The rate at which a session in progress ends: events over exposure, with decaying memory.

    This is the maximum-likelihood rate under right-censoring, so sessions still running count
    as they should, and no bookkeeping per session is needed.
    """

    __slots__ = ("ended", "exposure_s")

    def __init__(self, ended: float, exposure_s: float) -> None:
        self.ended = ended
        self.exposure_s = exposure_s

    @classmethod
    def expecting(cls, mean_session_s: float) -> "EndHazard":
        """Before anything was measured: worth ten sessions of the expected length."""
        return cls(_PRIOR_SESSIONS, _PRIOR_SESSIONS * mean_session_s)

    def observe(self, dt: float, in_progress: int, ended: int) -> None:
        """`in_progress` sessions ran for `dt` seconds, and `ended` of them ended."""
        keep = math.exp(-dt / _MEMORY_S)
        if self.ended * keep < 1.0:
            # A quiet week forgets how much is known, but not what: one session's worth stays.
            keep = min(1.0, 1.0 / self.ended)
        self.ended = self.ended * keep + ended
        self.exposure_s = self.exposure_s * keep + in_progress * dt

    @property
    def rate(self) -> float:
        """Ends per session and second; always positive and finite."""
        return self.ended / max(self.exposure_s, self.ended * _SHORTEST_SESSION_S)


class StartupTimes:
    """The last fifty start-up times and their quantiles; a hint stands in until there are any."""

    __slots__ = ("_hint_s", "_recent", "p90_s", "p95_s")

    def __init__(self, hint_s: float, known: Iterable[float] = ()) -> None:
        self._hint_s = hint_s
        self._recent: deque[float] = deque(maxlen=_STARTS_KEPT)
        self.p90_s = 1.25 * hint_s
        self.p95_s: float | None = None
        """None until a start was measured."""
        self.add(known)

    def add(self, seconds: Iterable[float]) -> None:
        """Take in start-up times, oldest first."""
        self._recent.extend(max(0.0, each) for each in seconds)
        if self._recent:
            ordered = sorted(self._recent)
            self.p90_s = _quantile(ordered, 0.9)
            self.p95_s = _quantile(ordered, 0.95)

    def export(self) -> list[float]:
        """The times kept, oldest first."""
        return list(self._recent)


def _quantile(ordered: list[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class Dispersion:
    """Variance over mean of the arrivals in twenty seconds: 1 for Poisson, more for bursts."""

    __slots__ = ("_due", "raw")

    def __init__(self, raw: float = 1.0) -> None:
        self.raw = raw
        self._due: float | None = None

    @property
    def factor(self) -> float:
        """As it is used: never calmer than Poisson, and bounded."""
        return min(4.0, max(1.0, self.raw))

    def due(self, now: float) -> bool:
        """Whether the next period is over; True once per period."""
        if self._due is not None and now < self._due:
            return False
        first = self._due is None
        self._due = now + _PERIOD_S
        return not first

    def observe(self, arrivals: float | None, rate: float) -> None:
        """One period's arrivals against the rate expected then (a Pearson statistic)."""
        expected = rate * _PERIOD_S
        if arrivals is None or expected <= 1.0:
            return
        # Capped, so that one accident does not pass for a bursty law.
        ratio = min(25.0, (arrivals - expected) ** 2 / expected)
        self.raw += 0.02 * (ratio - self.raw)

    @property
    def period_s(self) -> int:
        """How long one period is."""
        return _PERIOD_S


class Steering:
    """A correction of the safety factor that makes the late share meet its goal.

    Each late start pushes it up and each prompt one a little down, so that in the long run the
    share is as asked for whatever the arrival law is, as long as no bound is touched (adaptive
    conformal inference, Gibbs and Candès 2021).
    """

    __slots__ = ("_goal", "late", "value")

    LOWEST: Final = -2.0
    HIGHEST: Final = 4.0

    def __init__(self, objective: float, value: float = 0.0, late: float = 0.0) -> None:
        self._goal = _GOAL * (1.0 - objective)
        self.value = value
        self.late = late
        """Late starts so far; steps become smaller as they add up."""

    def observe(self, answered: int, late: int, *, may_lower: bool = True) -> None:
        """Sessions answered since the last time, and starts that were late or gave up."""
        gain = max(0.02, 0.05 / (1.0 + self.late / 20.0))
        step = gain * (late - self._goal * answered)
        self.late += late
        if step > 0.0 or may_lower:
            self.value = min(self.HIGHEST, max(self.LOWEST, self.value + step))
