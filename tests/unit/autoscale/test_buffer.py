"""The proportional policy, one behaviour at a time."""

from paddock_operator.autoscale.policy import policy_for
from unit.autoscale.pools import pool, sample


def test_demand_and_reserve_are_divided_by_the_capacity_and_rounded_up() -> None:
    policy = policy_for(pool(policy="Buffer", warmSessions=3), None)

    decision = policy.decide(sample(8, 2), 0.0)

    assert decision.target == 4
    assert decision.reason == "8 in flight + 2 queued, 3 to keep free: 4 runners of 4 slots"


def test_one_session_is_kept_free_when_nothing_is_said() -> None:
    assert policy_for(pool(policy="Buffer"), None).decide(sample(8), 0.0).target == 3


def test_a_percentage_is_the_share_of_the_whole_that_is_free() -> None:
    policy = policy_for(pool(policy="Buffer", warmSessions="25%"), None)

    assert policy.decide(sample(12), 0.0).target == 4


def test_sessions_on_draining_runners_are_no_demand() -> None:
    policy = policy_for(pool(policy="Buffer"), None)

    assert policy.decide(sample(3, draining=30), 0.0).target == 1


def test_a_higher_target_is_held_for_the_window() -> None:
    policy = policy_for(pool(policy="Buffer"), None)
    policy.decide(sample(20, ready=6), 0.0)

    assert policy.decide(sample(0, ready=6), 300.0).target == 6
    assert policy.decide(sample(0, ready=6), 301.0).target == 1


def test_a_queue_forbids_shrinking() -> None:
    policy = policy_for(pool(policy="Buffer"), None)

    decision = policy.decide(sample(0, 1, ready=6), 0.0)

    assert decision.target == 6
    assert decision.reason.endswith("kept at 6 because sessions are queued")


def test_growth_is_immediate() -> None:
    policy = policy_for(pool(policy="Buffer"), None)
    policy.decide(sample(), 0.0)

    assert policy.decide(sample(4, 12, ready=1), 0.1).target == 5


def test_it_sleeps_only_after_the_written_time_and_ignores_the_reserve_then() -> None:
    policy = policy_for(pool(policy="Buffer", minRunners=0, warmSessions=9), None)
    policy.decide(sample(1, ready=3), 0.0)

    assert policy.decide(sample(ready=3), 599.0).target == 3
    assert policy.decide(sample(ready=3), 900.0).target == 0


def test_start_up_times_survive_a_restart() -> None:
    policy = policy_for(pool(policy="Buffer"), None)
    policy.decide(sample(startups=(3.0, 4.0)), 0.0)

    restored = policy_for(pool(policy="Buffer"), policy.export())

    assert restored.export() == policy.export() == {"version": 1, "startupSeconds": [3.0, 4.0]}
