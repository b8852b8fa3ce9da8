"""What a sizing policy is told, and what it answers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PoolSample:
    """One pool's statistics for one tick.

    Counters (`arrivals`, `completions`, `answered`, `late`) are differences since the previous
    sample and never negative. `in_flight` counts offered, assigned, active, ending and orphaned
    sessions on runners that are starting or serving; sessions on draining runners are
    `draining_sessions` and ask for no new capacity.
    """

    in_flight: int
    queued: int
    arrivals: int
    completions: int
    answered: int
    late: int
    startup_times_s: tuple[float, ...]
    """Seconds from start to ready, of runners that became ready since the previous sample."""
    ready: int
    starting: int
    overdue_starts: int = 0
    """Those of `starting` that are later than three times the expected start-up time: they count
    as absent."""
    draining_sessions: int = 0
    fresh: bool = True
    """False when the statistics are stale or implausible: hold, never shrink."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How many runners should be starting or serving, and the sentence that says why."""

    target: int
    wanted: int
    """The target before the limits and the hold; differs from `target` when a limit bit."""
    reason: str
    limited: str = ""
    """"" | "AtMax" | "AtMin" | "StepLimited": which limit bit."""
    by_fallback: bool = False
    """The size is the fallback's, for want of statistics."""
