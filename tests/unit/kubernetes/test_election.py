"""Two candidates and one Lease: never two leaders, and never none for long."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock_operator.backends.kubernetes.election import (
    Claim,
    Election,
    Record,
    Timing,
    Wait,
    record_of,
)  # fmt: skip

_WALL = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class _Lease:
    """The server's, with compare-and-set."""

    version: int = 0
    spec: dict[str, Any] | None = None

    def record(self) -> Record | None:
        if self.spec is None:
            return None
        lease = {"metadata": {"resourceVersion": str(self.version)}, "spec": self.spec}
        return record_of(lease, 15)

    def write(self, claim: Claim) -> bool:
        expected = None if self.spec is None else str(self.version)
        if claim.version != expected:
            return False
        self.version += 1
        self.spec = {**(self.spec or {}), **claim.spec}
        return True


@dataclass
class _Candidate:
    """Reads and claims as the shell does. A claim may arrive late, and its answer get lost."""

    election: Election
    lease: _Lease
    pending: list[tuple[float, Claim]] = field(default_factory=list)

    def look(self, now: float) -> None:
        self.election.saw(self.lease.record(), now)

    def ask(self, now: float) -> None:
        step = self.election.step(now, _WALL)
        if isinstance(step, Claim):
            self.pending.append((now, step))

    def arrive(self, *, answered: bool) -> None:
        if not self.pending:
            return
        asked_at, claim = self.pending.pop(0)
        if self.lease.write(claim) and answered:
            record = self.lease.record()
            assert record
            self.election.wrote(record, asked_at)

    def leads(self, now: float) -> bool:
        until = self.election.leads_until()
        return until is not None and now < until


_steps = st.lists(
    st.tuples(
        st.sampled_from(["round", "round", "look", "ask", "arrive", "lose", "release"]),
        st.integers(0, 1),
        st.sampled_from([0.0, 0.0, 0.0, 5.0, 9.0, 15.0]),
    ),
    max_size=30,
)


@settings(max_examples=1000)
@given(_steps)
def test_there_are_never_two_leaders(steps: list[tuple[str, int, float]]) -> None:
    lease = _Lease()
    both = [_Candidate(Election(name, Timing()), lease) for name in ("one", "two")]
    now = 0.0
    for what, who, passed_s in steps:
        now += passed_s
        candidate = both[who]
        match what:
            case "round":
                candidate.look(now)
                candidate.ask(now)
                candidate.arrive(answered=True)
            case "look":
                candidate.look(now)
            case "ask":
                candidate.ask(now)
            case "arrive" | "lose":
                candidate.arrive(answered=what == "arrive")
            case _:
                # Only who leads gives up leading, and then ends.
                claim = candidate.election.release(_WALL) if candidate.leads(now) else None
                if claim is not None:
                    lease.write(claim)
                    identity = candidate.election.identity + "'"
                    both[who] = _Candidate(Election(identity, Timing()), lease)
        assert sum(c.leads(now) for c in both) <= 1


def test_a_new_lease_is_created_and_then_renewed() -> None:
    election = Election("one", Timing())
    election.saw(None, 0.0)

    first = election.step(0.0, _WALL)
    assert isinstance(first, Claim)
    election.wrote(Record("1", "one", 15, "then", 0), 0.0)
    second = election.step(2.0, _WALL)

    assert first.version is None
    assert first.spec["renewTime"] == "2030-01-02T03:04:05.000000Z"
    assert isinstance(second, Claim)
    assert second.version == "1"
    assert second.spec["acquireTime"] == "then"
    assert second.spec["leaseTransitions"] == 0
    assert election.leads_until() == 10.0


def test_a_silent_holder_is_replaced_when_its_own_duration_is_over() -> None:
    election = Election("one", Timing())
    election.saw(Record("1", "two", 30, "then", 4), 100.0)
    election.saw(Record("1", "two", 30, "then", 4), 120.0)

    assert election.step(129.9, _WALL) == Wait("two", 130.0)
    claim = election.step(130.0, _WALL)

    assert isinstance(claim, Claim)
    assert claim.spec["leaseTransitions"] == 5


def test_every_renewal_of_the_holder_starts_the_wait_again() -> None:
    election = Election("one", Timing())
    election.saw(Record("1", "two", 15), 0.0)
    election.saw(Record("2", "two", 15), 14.0)

    assert election.step(28.0, _WALL) == Wait("two", 29.0)


def test_a_free_lease_is_taken_at_once() -> None:
    election = Election("one", Timing())
    election.saw(Record("7", "", 1), 0.0)

    claim = election.step(0.0, _WALL)

    assert isinstance(claim, Claim)
    assert claim.version == "7"


def test_who_sees_another_holder_leads_no_more() -> None:
    election = Election("one", Timing())
    election.wrote(Record("1", "one", 15), 0.0)

    election.saw(Record("2", "two", 15), 1.0)

    assert election.leads_until() is None
    assert election.release(_WALL) is None


@pytest.mark.parametrize("timing", [(15, 15, 2), (15, 10, 5), (15, 10, 0), (5, 10, 2)])
def test_timings_that_allow_two_leaders_or_no_second_try_are_refused(
    timing: tuple[float, float, float],
) -> None:
    with pytest.raises(ValueError, match="expected"):
        Timing(*timing)
