"""Whole pools under a policy: what it costs and how often callers wait."""

from paddock_operator.autoscale.policy import policy_for
from unit.autoscale.pools import Simulation, pool

TWO_HOURS_S = 7200.0


def test_horizon_meets_its_objective_near_the_least_possible_cost() -> None:
    outcomes = [
        Simulation(policy_for(pool(maxRunners=100), None), seed, erlang=20.0).run(TWO_HOURS_S)
        for seed in range(1, 9)
    ]

    starts = sum(outcome.starts for outcome in outcomes)
    assert starts > 6000
    assert sum(outcome.late for outcome in outcomes) <= 0.015 * starts
    assert sum(outcome.runner_s for outcome in outcomes) <= 1.35 * sum(
        outcome.bound_s for outcome in outcomes
    )


def test_a_day_of_steering_makes_a_small_pool_cheaper_within_its_objective() -> None:
    policy = policy_for(pool(maxRunners=100), None)

    outcome = Simulation(policy, 4, erlang=20.0).run(12 * TWO_HOURS_S)

    assert outcome.late_share <= 0.0105
    assert outcome.cost <= 1.30


def test_horizon_serves_a_large_pool_with_a_relatively_smaller_reserve() -> None:
    small = Simulation(policy_for(pool(maxRunners=1000), None), 7, erlang=20.0).run(TWO_HOURS_S)
    large = Simulation(policy_for(pool(maxRunners=1000), None), 7, erlang=150.0).run(TWO_HOURS_S)

    assert large.late_share <= 0.015
    assert large.cost < small.cost
    assert large.cost <= 1.2


def test_horizon_saves_runners_when_they_start_faster() -> None:
    slow = Simulation(policy_for(pool(maxRunners=1000), None), 7, erlang=60.0, startup_s=60.0)
    fast = Simulation(policy_for(pool(maxRunners=1000), None), 7, erlang=60.0, startup_s=5.0)

    assert fast.run(TWO_HOURS_S).cost < slow.run(TWO_HOURS_S).cost


def test_buffer_with_a_quarter_free_rarely_keeps_callers_waiting() -> None:
    policy = policy_for(pool(policy="Buffer", maxRunners=100, warmSessions="25%"), None)

    outcome = Simulation(policy, 1, erlang=20.0).run(TWO_HOURS_S)

    assert outcome.late_share <= 0.02
    assert outcome.cost <= 1.9
