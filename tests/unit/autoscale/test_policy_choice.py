"""Which policy a manifest gets, and what it does with state from before."""

import json
import math

import pytest

from paddock_operator.autoscale.policy import policy_for
from unit.autoscale.pools import pool, sample


def test_replicas_fix_the_size_and_the_reason_says_manual() -> None:
    policy = policy_for(pool(spec={"replicas": 3}), None)

    decision = policy.decide(sample(500, 500, ready=1), 0.0)

    assert (decision.target, decision.limited) == (3, "")
    assert decision.reason.startswith("Manual: 3 runners")


def test_a_manual_size_keeps_what_was_learned_for_later() -> None:
    learned = policy_for(pool(), None).export()

    assert policy_for(pool(spec={"replicas": 3}), learned).export() == learned


GOOD = policy_for(pool(), None).export()


@pytest.mark.parametrize(
    "garbage",
    [
        {},
        {"version": 2},
        {"version": 1},
        {**GOOD, "ended": 0},
        {**GOOD, "ended": math.nan},
        {**GOOD, "exposureSeconds": -1},
        {**GOOD, "exposureSeconds": math.inf},
        {**GOOD, "dispersion": "1"},
        {**GOOD, "steering": 9},
        {**GOOD, "steering": None},
        {**GOOD, "late": True},
        {**GOOD, "startupSeconds": 5},
        {**GOOD, "startupSeconds": [1.0, -2.0]},
        {**GOOD, "startupSeconds": [10**400]},
    ],
)
def test_implausible_state_starts_fresh(garbage: dict[str, object]) -> None:
    policy = policy_for(pool(), garbage)

    assert policy.export() == GOOD
    assert policy.decide(sample(ready=9), 0.0).target == 1


def test_learned_state_is_plain_json() -> None:
    policy = policy_for(pool(), None)
    policy.decide(sample(3, startups=(1.5,)), 0.0)

    assert json.loads(json.dumps(policy.export())) == policy.export()


def fallback(behavior: str, runners: int) -> dict[str, object]:
    return {"fallback": {"behavior": behavior, "runners": runners}}


def test_long_staleness_raises_to_the_fallback_size() -> None:
    policy = policy_for(pool(spec=fallback("HoldOrRaise", 8)), None)
    policy.decide(sample(4, ready=2), 0.0)

    assert policy.decide(sample(4, ready=2, fresh=False), 44.0).target < 8
    decision = policy.decide(sample(4, ready=2, fresh=False), 45.0)

    assert decision.target == 8
    assert "fallback" in decision.reason
    assert decision.by_fallback
    assert policy.decide(sample(4, ready=2), 46.0).target < 8


def test_raising_never_lowers_and_static_does() -> None:
    raising = policy_for(pool(spec=fallback("HoldOrRaise", 2)), None)
    static = policy_for(pool(spec=fallback("Static", 2)), None)
    for policy in (raising, static):
        policy.decide(sample(4, ready=6), 0.0)

    assert raising.decide(sample(4, ready=6, fresh=False), 60.0).target == 6
    assert static.decide(sample(4, ready=6, fresh=False), 60.0).target == 2


def test_hold_ignores_the_fallback_size() -> None:
    policy = policy_for(pool(spec=fallback("Hold", 8)), None)
    policy.decide(sample(4, ready=2), 0.0)

    assert policy.decide(sample(4, ready=2, fresh=False), 600.0).target < 8
