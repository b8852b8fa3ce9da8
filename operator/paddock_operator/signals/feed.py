"""What the orchestrator says about a pool, and how far it can be believed. Sans-I/O.

Unknown is never zero: before the first line, after silence, and right after the orchestrator
restarted, the feed is not fresh and nothing may be concluded from what is missing in it.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from paddock.protocol.words import Mode
from paddock_operator.plan.view import BarrierReport

IMPLAUSIBLE_LINES = 15
"""Lines (about a second apart) a restarted orchestrator's figures may be doubted: 3 heartbeats."""


class RunnerSignal(msgspec.Struct, frozen=True):
    """One runner, as the orchestrator last said."""

    runner_id: str
    instance: str
    connected: bool
    suspect: bool
    can_drain: bool
    capacity: int
    booked: int
    report: BarrierReport | None
    registered_s: float
    oldest_assigned_s: float | None


@dataclass(frozen=True, slots=True)
class Counts:
    """What happened since the last time these were taken."""

    arrivals: int = 0
    completions: int = 0
    answered: int = 0
    late: int = 0
    startup_times_s: tuple[float, ...] = ()


_COUNTERS = ("arrivals", "completions", "answered", "late")


@dataclass(slots=True)
class Feed:
    """The statistics of one agent, line by line."""

    agent: str
    stale_after_s: float
    runners: dict[str, RunnerSignal] = field(default_factory=dict)
    queued: int = 0
    boot: str = ""
    _heard_at: float | None = None
    _doubt: int = 0
    _missing: set[str] = field(default_factory=set)
    """Runners that were connected before the orchestrator restarted and are not back yet."""
    _recovering: bool = False
    _totals: dict[str, int] = field(default_factory=dict)
    _taken: dict[str, int] = field(default_factory=dict)
    _startups: list[tuple[int, int]] = field(default_factory=list)
    _startup_seen: int = 0

    def is_news(self, line: dict[str, Any]) -> bool:
        """Whether this line, which was not heard yet, says more than that all is as it was."""
        told = (*line["pools"], *line["runners"])
        return (
            line["boot"] != self.boot
            or any(each["agent"] == self.agent for each in told)
            or any(name in self.runners for name in line["gone"])
        )

    def hear(self, line: dict[str, Any], now: float) -> None:
        """A line of the statistics stream. `now` is monotonic seconds."""
        restarted = bool(self.boot) and line["boot"] != self.boot
        if restarted:
            self._missing |= {r.runner_id for r in self.runners.values() if r.connected}
            self._doubt = IMPLAUSIBLE_LINES
        if line["seq"] == 1:
            self.runners.clear()
        if restarted or not self.boot:
            self._taken = {}
            self._totals = {}
            self._startup_seen = 0
        self.boot = line["boot"]
        self._recovering = bool(line.get("recovering"))
        self._heard_at = now
        for name in line["gone"]:
            self.runners.pop(name, None)
        for raw in line["runners"]:
            if raw["agent"] == self.agent:
                self.runners[raw["runner_id"]] = _signal(raw)
        for raw in line["pools"]:
            if raw["agent"] == self.agent:
                self._pool(raw)
        self._missing -= {r.runner_id for r in self.runners.values() if r.connected}
        if self._doubt:
            self._doubt = self._doubt - 1 if self._missing else 0
        if not self._doubt:
            self._missing.clear()

    def _pool(self, raw: dict[str, Any]) -> None:
        self.queued = raw["queued"]
        self._totals = {name: raw[name] for name in _COUNTERS}
        self._startups = [(int(n), int(ms)) for n, ms in raw["startups_ms"]]

    def fresh(self, now: float) -> bool:
        """Whether what is missing here may be concluded from."""
        if self._heard_at is None or now - self._heard_at > self.stale_after_s:
            return False
        return self._doubt == 0 and not self._recovering

    def silent_s(self, now: float) -> float | None:
        """How long ago the last line came; None when none ever did."""
        return None if self._heard_at is None else now - self._heard_at

    @property
    def ever(self) -> bool:
        """Whether the orchestrator was heard at all."""
        return self._heard_at is not None

    def take(self) -> Counts:
        """What happened since the last call. A restarted counter counts from zero again."""
        changed = {
            name: max(0, total - self._taken.get(name, 0)) for name, total in self._totals.items()
        }
        self._taken = dict(self._totals)
        newer = [(n, ms) for n, ms in self._startups if n > self._startup_seen]
        if newer:
            self._startup_seen = newer[-1][0]
        return Counts(**changed, startup_times_s=tuple(ms / 1000.0 for _, ms in newer))


def _signal(raw: dict[str, Any]) -> RunnerSignal:
    report = raw["report"]
    barrier = None
    if report is not None and report[1] == Mode.DRAIN:
        barrier = BarrierReport(report[0], report[2])
    elif report is not None:
        # In mode serve a report says which epoch was obeyed, and nothing about emptiness.
        barrier = BarrierReport(report[0], max(1, report[2]))
    oldest = raw["oldest_session_ms"]
    return RunnerSignal(
        runner_id=raw["runner_id"],
        instance=raw["instance"],
        connected=raw["connected"],
        suspect=raw["suspect"],
        can_drain=raw["can_drain"],
        capacity=raw["capacity"],
        booked=raw["in_flight"],
        report=barrier,
        registered_s=raw["registered_ms"] / 1000.0,
        oldest_assigned_s=None if oldest is None else oldest / 1000.0,
    )
