"""Horizon: enough runners for the sessions of one start-up time ahead, with a chosen certainty.

Given n sessions now, those of a time u ahead are the survivors of n, Binomial(n, e^-mu*u), and
the new ones, Poisson with the rate times (1 - e^-mu*u)/mu: the transient law of the
infinite-server queue. Its quantile, divided by a runner's capacity, is the size to have.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from paddock_operator.autoscale.estimates import Dispersion, EndHazard, StartupTimes, Steering
from paddock_operator.autoscale.hold import Floor, RecentPeak, RestartGrace
from paddock_operator.autoscale.learned import HorizonLearned
from paddock_operator.autoscale.limits import Limits, Wakefulness
from paddock_operator.autoscale.rate import ArrivalRate
from paddock_operator.autoscale.sample import Decision, PoolSample
from paddock_operator.autoscale.settle import plural, settle

_USUAL_TICK_S: Final = 1.0
_LONGEST_TICK_S: Final = 10.0
"""A longer gap says nothing about when the next tick comes."""


@dataclass(frozen=True, slots=True)
class HorizonSettings:
    """What the owner of the pool asked for."""

    limits: Limits
    objective: float
    """Share of starts to answer at once, below 1."""
    startup_hint_s: float = 20.0
    mean_session_hint_s: float = 180.0
    hold_s: float | None = None
    """How long a higher target is held; None is as long as a start takes."""


class Horizon:
    """The predictive policy. Feed it each second, and at once when a start found no slot."""

    def __init__(
        self, settings: HorizonSettings, learned: HorizonLearned | None = None, *, adopted: bool
    ) -> None:
        """`adopted`: runners were already there. That, or `learned`, delays shrinking."""
        self._settings = settings
        self._limits = settings.limits
        known = learned or HorizonLearned.nothing(settings.mean_session_hint_s)
        self._hazard = EndHazard(known.ended, known.exposure_s)
        self._startup = StartupTimes(settings.startup_hint_s, known.startup_times_s)
        self._dispersion = Dispersion(known.dispersion)
        self._steering = Steering(settings.objective, known.steering, known.late)
        self._z = NormalDist().inv_cdf(settings.objective)
        self._rate = ArrivalRate()
        self._peak = RecentPeak()
        self._floor = Floor()
        self._grace = RestartGrace(needed=adopted or learned is not None)
        self._wakefulness = Wakefulness(settings.limits, awake=adopted)
        self._ticked: float | None = None
        self._measured: float | None = None
        self._running = 0
        self._limited = ""

    def decide(self, sample: PoolSample, now: float) -> Decision:
        """The size the pool should have. `now` is monotonic, in seconds."""
        tick_s = _USUAL_TICK_S if self._ticked is None else max(0.0, now - self._ticked)
        self._ticked = now
        if sample.startup_times_s:
            self._startup.add(sample.startup_times_s)
        if sample.fresh:
            self._learn(sample, now)
        horizon_s = self._startup.p90_s + (tick_s if tick_s <= _LONGEST_TICK_S else _USUAL_TICK_S)
        sessions = sample.in_flight + sample.queued
        expected = self._expected(sessions, min(tick_s, horizon_s), horizon_s)
        awake = self._wakefulness.awake(sample, now, self._startup.p95_s)
        decision = settle(
            self._limits,
            sample,
            self._peak,
            self._floor,
            wanted=self._wanted(sessions, expected, awake=awake),
            because=self._because(sample, expected, horizon_s, awake=awake),
            now=now,
            hold_s=self._startup.p90_s if self._settings.hold_s is None else self._settings.hold_s,
            frozen=self._frozen(sample, now),
        )
        self._limited = decision.limited
        return decision

    def export(self) -> dict[str, object]:
        """What it learned, for another start."""
        return HorizonLearned(
            ended=self._hazard.ended,
            exposure_s=self._hazard.exposure_s,
            dispersion=self._dispersion.raw,
            steering=self._steering.value,
            late=self._steering.late,
            startup_times_s=tuple(self._startup.export()),
        ).as_json()

    def _learn(self, sample: PoolSample, now: float) -> None:
        """Take in a fresh sample. What happened since the last fresh one is in its counters."""
        if self._measured is None:
            self._rate.add(now, sample.arrivals)
        else:
            # An idle pool is not asked every second: its first arrival comes at the end of the gap.
            self._rate.add(now, sample.arrivals, at_once=self._running == 0)
            dt = max(0.0, now - self._measured)
            # The sessions at the interval's beginning: one that has just come has not run yet.
            self._hazard.observe(dt, self._running, sample.completions)
            if self._free_to_act(sample, dt):
                self._steering.observe(
                    sample.answered, sample.late, may_lower=self._limited != "AtMin"
                )
        self._measured = now
        self._running = sample.in_flight + sample.draining_sessions
        self._rate.estimate(self._dispersion.factor)
        if self._dispersion.due(now):
            arrivals = self._rate.recent(self._dispersion.period_s)
            self._dispersion.observe(arrivals, self._rate.rate)

    def _free_to_act(self, sample: PoolSample, dt: float) -> bool:
        """Whether a late start tells of the formula, and not of a limit, a gap or a slow cluster.

        An integral term that learns while its actuator is stuck winds up.
        """
        blind = dt > _LONGEST_TICK_S and self._running > 0
        return self._limited != "AtMax" and not sample.overdue_starts and not blind

    def _frozen(self, sample: PoolSample, now: float) -> str:
        left = self._grace.left(now, self._startup.p90_s)
        if not sample.fresh:
            return "the statistics are not fresh"
        return f"too little was seen yet, for {left:.0f} s more" if left else ""

    def _expected(self, sessions: int, soon_s: float, horizon_s: float) -> int:
        """The most sessions to be ready for, between the next tick and the horizon."""
        quantile = max(
            self._quantile(sessions, soon_s),
            self._quantile(sessions, horizon_s / 2.0),
            self._quantile(sessions, horizon_s),
        )
        # Rounding down a little is made good by whole runners, unless these are tiny.
        if self._limits.capacity <= 2:
            return max(0, math.ceil(quantile + 0.5)) if quantile > 0.0 else 0
        return max(0, math.floor(quantile + 0.5))

    def _quantile(self, sessions: int, ahead_s: float) -> float:
        """The quantile of the sessions at a time ahead, as corrected by Cornish and Fisher 1938."""
        ends_per_s = self._hazard.rate
        phi = self._dispersion.factor
        gone = -math.expm1(-ends_per_s * ahead_s)
        stay = 1.0 - gone
        arriving = self._rate.rate * gone / ends_per_s
        mean = sessions * stay + arriving
        ending = sessions * stay * gone
        # Sessions that end, sessions that come, and doubt about the rate at which they do.
        variance = ending + arriving * phi + arriving * gone / ends_per_s / self._rate.window_s
        if variance <= 0.0:
            return mean
        z = self._z + self._steering.value
        third = ending * (1.0 - 2.0 * stay) + arriving * phi * phi
        return mean + z * math.sqrt(variance) + (z * z - 1.0) / 6.0 * third / variance

    def _wanted(self, sessions: int, expected: int, *, awake: bool) -> int:
        if not awake:
            return 0
        free = self._limits.warm.reserve(sessions)
        return max(1, self._limits.runners_for(max(expected, sessions + free)))

    def _because(self, sample: PoolSample, expected: int, horizon_s: float, *, awake: bool) -> str:
        counted = f"{sample.in_flight} in flight + {sample.queued} queued"
        if not awake:
            return f"{counted}, and no session for {self._limits.sleep_after_s:.0f} s: asleep"
        sessions = sample.in_flight + sample.queued
        free = self._limits.warm.reserve(sessions)
        wanted = self._wanted(sessions, expected, awake=True)
        reserve = f", {free} to keep free" if free else ""
        return (
            f"{counted}, expecting up to {max(expected, sessions)} within {horizon_s:.0f} s"
            f"{reserve}: {plural(wanted)} of {self._limits.capacity} slots"
        )
