"""Writing of statuses: bounded, at rest not at all, and never without the last change."""

import heapq
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock_operator.model.status import status_json
from paddock_operator.observe.status_policy import (
    BURST,
    COUNTERS_EVERY_S,
    PATIENCE_S,
    WRITES_PER_S,
    Change,
    Later,
    Nothing,
    StatusPolicy,
    Write,
    change_of,
)
from unit.model.statuses import FULL

Json = dict[str, Any]


def status(**changes: object) -> Json:
    """A full status, with values put at `sessions__inFlight`-like paths."""
    written: Json = status_json(FULL)
    for path, value in changes.items():
        *parents, last = path.split("__")
        node = written
        for parent in parents:
            node = node[parent]
        node[last] = value
    return written


def with_condition(kind: str, **changes: str) -> Json:
    written = status()
    for each in written["conditions"]:
        if each["type"] == kind:
            each.update(changes)
    return written


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        (status(), status(), Change.NONE),
        ({}, status(), Change.STRUCTURE),
        (status(), status(statsTime="2026-11-21T02:00:01Z"), Change.NONE),
        (status(), status(ready=6), Change.STRUCTURE),
        (status(), status(idle=2), Change.COUNTERS),
        (status(), status(desiredRunners=8), Change.STRUCTURE),
        (status(), status(observedGeneration=8), Change.STRUCTURE),
        (status(), status(revision__updatedRunners=3), Change.STRUCTURE),
        (status(), status(drainLevels__2=5), Change.STRUCTURE),
        (status(), status(drains=[]), Change.STRUCTURE),
        (status(), status(somethingNew=1), Change.STRUCTURE),
        (status(), status(sessions__inFlight=15), Change.COUNTERS),
        (status(sessions__inFlight=1000), status(sessions__inFlight=1010), Change.NONE),
        (status(sessions__inFlight=1000), status(sessions__inFlight=1050), Change.COUNTERS),
        (status(sessions__queued=0), status(sessions__queued=1), Change.COUNTERS),
        (status(), status(scaling__reason="hold 5 runners: 15 in flight"), Change.NONE),
        (status(), status(scaling__reason="create 1 toward 6"), Change.COUNTERS),
        (status(), with_condition("Available", status="False"), Change.STRUCTURE),
        (status(), with_condition("Available", reason="EnoughRunners"), Change.STRUCTURE),
        (status(), with_condition("Available", message="said otherwise"), Change.COUNTERS),
        (
            with_condition("Degraded", message="exit code 1"),
            with_condition("Degraded", message="exit code 137"),
            Change.COUNTERS,
        ),
        (
            with_condition("Available", message="5 ready"),
            with_condition("Available", message="6 ready"),
            Change.NONE,
        ),
    ],
)
def test_what_kind_of_change(old: Json, new: Json, change: Change) -> None:
    assert change_of(old, new) is change


def test_the_order_of_a_list_is_no_change() -> None:
    turned = status()
    turned["conditions"].reverse()
    assert change_of(status(), turned) is Change.NONE


def test_sessions_of_a_drain_are_counters() -> None:
    other = status()
    other["drains"][0]["sessions"] = 1
    assert change_of(status(), other) is Change.COUNTERS


def test_structure_is_written_at_once() -> None:
    policy = StatusPolicy()
    assert isinstance(policy.due("a", status(), status(idle=2), 0.0), Write)
    assert isinstance(policy.due("a", status(), status(ready=6), 0.1), Write)


def test_counters_wait_for_their_turn() -> None:
    policy = StatusPolicy()
    assert isinstance(policy.due("a", status(), status(idle=2), 0.0), Write)
    assert policy.due("a", status(), status(idle=3), 0.5) == Later(COUNTERS_EVERY_S)
    assert isinstance(policy.due("a", status(), status(idle=3), COUNTERS_EVERY_S), Write)


def test_a_pool_at_rest_is_never_written() -> None:
    policy = StatusPolicy()
    for second in range(1000):
        resting = status(
            statsTime=f"second {second}", scaling__reason=f"hold 5 runners: {second} in flight"
        )
        assert policy.due("a", status(), resting, float(second)) == Nothing()


def test_structure_goes_before_counters() -> None:
    policy = StatusPolicy(writes_per_s=1.0, burst=1.0)
    assert isinstance(policy.due("first", status(), status(ready=6), 0.0), Write)
    assert policy.due("counter", status(), status(idle=2), 0.1) == Later(1.0)
    assert policy.due("structure", status(), status(ready=6), 0.2) == Later(1.0)
    assert policy.due("counter", status(), status(idle=2), 1.0) == Later(2.0)
    assert isinstance(policy.due("structure", status(), status(ready=6), 1.0), Write)


def test_who_does_not_come_back_is_passed_over() -> None:
    policy = StatusPolicy(writes_per_s=1.0, burst=1.0)
    assert isinstance(policy.due("first", status(), status(ready=6), 0.0), Write)
    assert policy.due("lost", status(), status(ready=6), 0.0) == Later(1.0)
    now = 1.0 + PATIENCE_S
    assert isinstance(policy.due("other", {}, status(), now + 0.1), Write)
    policy.forget("lost")


def test_what_turned_back_is_not_written() -> None:
    policy = StatusPolicy(writes_per_s=1.0, burst=1.0)
    policy.due("first", status(), status(ready=6), 0.0)
    assert policy.due("a", status(), status(ready=6), 0.0) == Later(1.0)
    assert policy.due("a", status(), status(), 0.5) == Nothing()
    assert isinstance(policy.due("b", status(), status(ready=6), 1.0), Write)


happenings = st.lists(
    st.tuples(
        st.floats(0.0, 0.5),
        st.sampled_from("abcdefgh"),
        st.sampled_from(["ready", "idle"]),
        st.integers(0, 40),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(happenings, st.sampled_from([1.0, 3.0]))
def test_writes_are_bounded_and_the_last_change_is_never_lost(
    happenings: list[tuple[float, str, str, int]], rate: float
) -> None:
    """A caller who asks at each change, and again when told to."""
    policy = StatusPolicy(writes_per_s=rate, burst=2.0)
    written: dict[str, Json] = {key: status() for key in "abcdefgh"}
    wanted: dict[str, Json] = {key: status() for key in "abcdefgh"}
    writes: list[float] = []
    counters: dict[str, list[float]] = {}
    again: list[tuple[float, str]] = []

    def ask(key: str, now: float) -> None:
        match policy.due(key, written[key], wanted[key], now):
            case Write(new, change):
                written[key] = dict(new)
                writes.append(now)
                counters.setdefault(key, []).append(now if change is Change.COUNTERS else -1.0)
            case Later(at):
                assert at > now
                heapq.heappush(again, (at, key))

    now = 0.0
    for wait_s, key, field, value in happenings:
        while again and again[0][0] <= now + wait_s:
            ask(again[0][1], heapq.heappop(again)[0])
        now += wait_s
        wanted[key] = {**wanted[key], field: value}
        ask(key, now)
    asked = 0
    while again:
        at, key = heapq.heappop(again)
        now = max(now, at)
        ask(key, now)
        asked += 1
        assert asked < 2000

    for key in wanted:
        assert change_of(written[key], wanted[key]) is Change.NONE
    for start in writes:
        for length in (1.0, 5.0, 20.0):
            within = sum(start <= at <= start + length for at in writes)
            assert within <= rate * length + 2.0 + 1e-6
    for times in counters.values():
        timed = [at for at in times if at >= 0.0]
        assert all(b - a >= COUNTERS_EVERY_S for a, b in pairwise(timed))


def test_a_thousand_new_pools_are_written_in_turn_and_none_twice() -> None:
    policy = StatusPolicy()
    again = [(0.0, f"pool-{number}") for number in range(1000)]
    heapq.heapify(again)
    asked: Counter[str] = Counter()
    new = status()
    done: dict[str, float] = {}
    while again:
        at, key = heapq.heappop(again)
        asked[key] += 1
        answer = policy.due(key, {}, new, at)
        if isinstance(answer, Later):
            heapq.heappush(again, (answer.at, key))
        else:
            done[key] = at
    assert len(done) == 1000
    assert max(done.values()) <= (1000 - BURST) / WRITES_PER_S + 1.0
    assert max(asked.values()) <= 3
