"""Buffer: a fixed number of sessions free beside the demand, given up slowly."""

from collections.abc import Iterable
from dataclasses import dataclass

from paddock_operator.autoscale.estimates import StartupTimes
from paddock_operator.autoscale.hold import Floor, RecentPeak, RestartGrace
from paddock_operator.autoscale.learned import buffer_as_json
from paddock_operator.autoscale.limits import Limits, Wakefulness
from paddock_operator.autoscale.sample import Decision, PoolSample
from paddock_operator.autoscale.settle import plural, settle
from paddock_operator.model.scaling import BUFFER_WINDOW_S


@dataclass(frozen=True, slots=True)
class BufferSettings:
    """What the owner of the pool asked for."""

    limits: Limits
    startup_hint_s: float = 20.0
    hold_s: float = BUFFER_WINDOW_S
    """A runner goes only when none was wanted in its place for so long."""


class Buffer:
    """The proportional policy: demand plus a reserve, the highest of a sliding window.

    Sessions on draining runners are no demand: they need no new place. A queue forbids shrinking.
    """

    def __init__(
        self, settings: BufferSettings, startup_times_s: Iterable[float] | None, *, adopted: bool
    ) -> None:
        """`adopted`: runners were there already. It delays shrinking, as known start-ups do."""
        self._settings = settings
        self._limits = settings.limits
        self._startup = StartupTimes(settings.startup_hint_s, startup_times_s or ())
        self._peak = RecentPeak()
        self._floor = Floor()
        self._grace = RestartGrace(needed=adopted or startup_times_s is not None)
        self._wakefulness = Wakefulness(settings.limits, awake=adopted)

    def decide(self, sample: PoolSample, now: float) -> Decision:
        """The size the pool should have. `now` is monotonic, in seconds."""
        if sample.startup_times_s:
            self._startup.add(sample.startup_times_s)
        limits = self._limits
        sessions = sample.in_flight + sample.queued
        counted = f"{sample.in_flight} in flight + {sample.queued} queued"
        if self._wakefulness.awake(sample, now, self._startup.p95_s):
            free = limits.warm.reserve(sessions)
            wanted = max(1, limits.runners_for(sessions + free))
            because = f"{counted}, {free} to keep free: {plural(wanted)} of {limits.capacity} slots"
        else:
            wanted = 0
            because = f"{counted}, and no session for {limits.sleep_after_s:.0f} s: asleep"
        return settle(
            limits,
            sample,
            self._peak,
            self._floor,
            wanted=wanted,
            because=because,
            now=now,
            hold_s=self._settings.hold_s,
            frozen=self._frozen(sample, now),
        )

    def export(self) -> dict[str, object]:
        """What it learned, for another start."""
        return buffer_as_json(self._startup.export())

    def _frozen(self, sample: PoolSample, now: float) -> str:
        left = self._grace.left(now, self._startup.p90_s)
        if not sample.fresh:
            return "the statistics are not fresh"
        if sample.queued:
            return "sessions are queued"
        return f"too little was seen yet, for {left:.0f} s more" if left else ""
