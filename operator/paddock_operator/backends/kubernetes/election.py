"""Who leads, decided from what is read of a Lease. Pure; all times but `wall` are monotonic.

Two processes never both believe that they lead, as long as their clocks run equally fast: a leader
counts from *before* its last write that succeeded, and gives up after `renew_deadline_s`; another
counts from *after* it first saw that write, and waits for `lease_s`, which is longer.
Clocks are never compared: the times in a Lease are for people.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Timing:
    """`renew_deadline_s` must be below `lease_s`, and hold several `retry_s`."""

    lease_s: float = 15.0
    renew_deadline_s: float = 10.0
    retry_s: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < 2 * self.retry_s < self.renew_deadline_s < self.lease_s:
            raise ValueError(f"{self}: expected 2·retry_s < renew_deadline_s < lease_s")


@dataclass(frozen=True, slots=True)
class Record:
    """A Lease as it was read. `holder` is "" when it is free."""

    version: str
    holder: str = ""
    lease_s: float = 0.0
    acquired: str = ""
    transitions: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """Write `spec`, if the Lease is still at `version`; create it when that is None."""

    spec: dict[str, Any]
    version: str | None


@dataclass(frozen=True, slots=True)
class Wait:
    """Somebody else holds it, who may be silent until `until`."""

    holder: str
    until: float


class Election:
    """One candidate, whose `identity` no other process has or had."""

    def __init__(self, identity: str, timing: Timing) -> None:
        if not identity:
            raise ValueError("an identity is needed: an empty one means nobody")
        self.identity = identity
        self.timing = timing
        self._record: Record | None = None
        self._seen_at = 0.0
        self._renewed_at: float | None = None

    def saw(self, record: Record | None, now: float) -> None:
        """The Lease was read; the answer arrived at `now`. None: there is none."""
        if record != self._record:
            self._record, self._seen_at = record, now

    def wrote(self, record: Record, asked_at: float) -> None:
        """A claim was granted, which was sent at `asked_at`."""
        self._record, self._seen_at = record, asked_at
        self._renewed_at = asked_at

    def step(self, now: float, wall: datetime) -> Claim | Wait:
        """What to do next, to lead or to go on leading."""
        record = self._record
        if record is None:
            return Claim(self._spec(wall, wall_text(wall), 0), None)
        if record.holder == self.identity:
            return Claim(self._spec(wall, record.acquired, record.transitions), record.version)
        until = self._seen_at + max(record.lease_s, 0.0)
        if record.holder and now < until:
            return Wait(record.holder, until)
        return Claim(self._spec(wall, wall_text(wall), record.transitions + 1), record.version)

    def leads_until(self) -> float | None:
        """When leadership ends unless it is renewed; None when it was never had, or was taken."""
        taken = self._record is not None and self._record.holder != self.identity
        if self._renewed_at is None or taken:
            return None
        return self._renewed_at + self.timing.renew_deadline_s

    def release(self, wall: datetime) -> Claim | None:
        """Let the next one have it at once; None when it is not ours to give."""
        record = self._record
        if record is None or record.holder != self.identity:
            return None
        spec = {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": wall_text(wall)}
        return Claim(spec, record.version)

    def _spec(self, wall: datetime, acquired: str, transitions: int) -> dict[str, Any]:
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self.timing.lease_s)),
            "acquireTime": acquired or wall_text(wall),
            "renewTime": wall_text(wall),
            "leaseTransitions": transitions,
        }


def wall_text(wall: datetime) -> str:
    """As a Lease has it."""
    return wall.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def record_of(lease: dict[str, Any], default_lease_s: float) -> Record:
    """A Lease as the server sends it. Whoever gave no duration gets `default_lease_s`."""
    spec = lease.get("spec") or {}
    return Record(
        version=lease["metadata"]["resourceVersion"],
        holder=spec.get("holderIdentity") or "",
        lease_s=float(spec.get("leaseDurationSeconds") or default_lease_s),
        acquired=spec.get("acquireTime") or "",
        transitions=int(spec.get("leaseTransitions") or 0),
    )
