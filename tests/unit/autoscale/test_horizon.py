"""The predictive policy, one behaviour at a time."""

import math

import pytest

from paddock_operator.autoscale.horizon import Horizon, HorizonSettings
from paddock_operator.autoscale.limits import Limits
from paddock_operator.autoscale.policy import Policy, policy_for
from paddock_operator.autoscale.sample import Decision, PoolSample
from paddock_operator.model.quantity import Size
from unit.autoscale.pools import pool, sample


def ticks(policy: Policy, each: PoolSample, seconds: int, start: int = 0) -> Decision:
    """Ask once a second with the same sample; the last answer."""
    decision = policy.decide(each, float(start))
    for second in range(start + 1, start + seconds):
        decision = policy.decide(each, float(second))
    return decision


def exact_quantile(sessions: int, rate: float, mean_s: float, ahead_s: float, share: float) -> int:
    """The smallest count that survivors plus newcomers exceed with at most 1 - `share`."""
    stay = math.exp(-ahead_s / mean_s)
    arriving = rate * mean_s * (1 - stay)
    law = [1.0]
    for _ in range(sessions):
        law = [
            (law[k] if k < len(law) else 0.0) * (1 - stay) + (law[k - 1] * stay if k else 0.0)
            for k in range(len(law) + 1)
        ]
    new = [math.exp(-arriving + k * math.log(arriving) - math.lgamma(k + 1)) for k in range(400)]
    total, count = 0.0, -1
    while total < share:
        count += 1
        total += sum(law[k] * new[count - k] for k in range(min(len(law), count + 1)))
    return count


@pytest.mark.parametrize(("sessions", "per_s"), [(20, 1), (100, 1), (300, 2)])
def test_the_size_matches_the_exact_transient_law(sessions: int, per_s: int) -> None:
    mean_s = sessions / per_s
    settings = HorizonSettings(Limits(3, 0, 10_000, Size(0)), 0.99, 20.0, mean_s)
    policy = Horizon(settings, adopted=False)
    steady = sample(sessions, arrivals=per_s, completions=per_s, ready=1)

    decision = ticks(policy, steady, 1500)

    exact = exact_quantile(sessions, per_s, mean_s, 26.0, 0.99)
    assert abs(decision.wanted - math.ceil(exact / 3)) <= 1


def test_the_reason_is_one_sentence_with_the_figures() -> None:
    policy = policy_for(pool(), None)
    policy.decide(sample(24, ready=7), 0.0)

    decision = policy.decide(sample(14, 2, ready=7), 7.0)

    assert decision.reason == (
        "14 in flight + 2 queued, expecting up to 17 within 32 s: 5 runners of 4 slots; "
        f"held at {decision.target} for 18 s more"
    )


def test_growth_is_immediate_and_in_one_step() -> None:
    policy = policy_for(pool(maxRunners=500), None)
    ticks(policy, sample(4, ready=2), 60)

    assert policy.decide(sample(4, 800, arrivals=800, ready=2), 60.1).target >= 201


def test_shrinking_waits_as_long_as_a_start_takes() -> None:
    policy = policy_for(pool(maxRunners=500), None)
    high = policy.decide(sample(100, ready=30, startups=(10.0,) * 20), 0.0).target

    assert policy.decide(sample(4, ready=30), 10.0).target == high
    assert policy.decide(sample(4, ready=30), 10.5).target < high


def test_a_written_stabilization_replaces_the_start_up_time() -> None:
    policy = policy_for(pool(maxRunners=500, scaleDown={"stabilizationSeconds": 100}), None)
    high = policy.decide(sample(100, ready=30), 0.0).target

    assert policy.decide(sample(4, ready=30), 100.0).target == high
    assert policy.decide(sample(4, ready=30), 101.0).target < high


def test_warm_sessions_are_kept_free_on_top() -> None:
    plain = policy_for(pool(maxRunners=50), None).decide(sample(8), 0.0)
    warm = policy_for(pool(maxRunners=50, warmSessions=20), None).decide(sample(8), 0.0)

    assert plain.target < 7 == warm.target


def test_at_the_maximum_the_target_is_the_maximum_and_steering_rests() -> None:
    policy = policy_for(pool(maxRunners=2), None)
    policy.decide(sample(8, 50, arrivals=58), 0.0)

    decision = policy.decide(sample(8, 50, late=50, answered=1), 1.0)

    assert (decision.target, decision.limited) == (2, "AtMax")
    assert decision.wanted > 2
    assert policy.export()["steering"] == 0.0


def test_late_starts_raise_the_safety_when_the_pool_may_grow() -> None:
    policy = policy_for(pool(maxRunners=200), None)
    policy.decide(sample(8, ready=5), 0.0)

    policy.decide(sample(8, ready=5, late=5, answered=5), 1.0)

    assert policy.export()["steering"] == pytest.approx(0.05 * (5 - 0.009 * 5))


@pytest.mark.parametrize("stuck", [{"overdue": 1, "starting": 1}, {"fresh": False}])
def test_steering_rests_while_scaling_is_not_free_to_act(stuck: dict[str, int]) -> None:
    policy = policy_for(pool(maxRunners=200), None)
    policy.decide(sample(8, ready=5), 0.0)

    policy.decide(
        sample(
            8,
            ready=5,
            late=50,
            overdue=stuck.get("overdue", 0),
            starting=stuck.get("starting", 0),
            fresh=bool(stuck.get("fresh", True)),
        ),
        1.0,
    )

    assert policy.export()["steering"] == 0.0


def test_a_floor_above_the_need_does_not_lower_the_safety() -> None:
    policy = policy_for(pool(minRunners=50, maxRunners=200), None)

    ticks(policy, sample(8, answered=100, ready=50), 100)

    assert policy.export()["steering"] == 0.0


def test_stale_statistics_hold_the_size_and_teach_nothing() -> None:
    policy = policy_for(pool(maxRunners=200), None)
    ticks(policy, sample(60, ready=25), 100)
    before = policy.export()

    decision = ticks(policy, sample(0, ready=25, fresh=False), 600, start=100)

    assert decision.target == 25
    assert "not fresh" in decision.reason
    assert policy.export() == before


def test_stale_statistics_with_a_queue_may_still_grow() -> None:
    policy = policy_for(pool(maxRunners=200), None)
    ticks(policy, sample(60, ready=25), 100)

    assert policy.decide(sample(60, 200, ready=25, fresh=False), 100.0).target > 50


def test_a_late_start_is_replaced_once_and_only_where_it_is_missed() -> None:
    policy = policy_for(pool(maxRunners=200), None)
    needed = policy.decide(sample(60, ready=10), 0.0).target

    missed = policy.decide(sample(60, ready=needed - 2, starting=2, overdue=2), 1.0)
    spare = policy.decide(sample(60, ready=needed, starting=2, overdue=2), 2.0)

    assert missed.target == needed + 2
    assert spare.target == needed


def test_a_first_start_has_no_period_without_shrinking() -> None:
    assert policy_for(pool(), None).decide(sample(ready=9), 0.0).target == 1


@pytest.mark.parametrize("restored", [True, False])
def test_a_restart_does_not_shrink_for_a_start_and_a_minute(restored: bool) -> None:
    learned = policy_for(pool(), None).export() if restored else None
    policy = policy_for(pool(), learned, adopted=not restored)

    assert policy.decide(sample(ready=9), 0.0).target == 9
    assert "too little" in policy.decide(sample(ready=9), 84.0).reason
    assert policy.decide(sample(ready=9), 85.0).target == 1


def test_a_pool_that_may_sleep_does_so_after_the_last_session() -> None:
    policy = policy_for(pool(minRunners=0, scaleToZero={"afterSeconds": 300}), None)
    assert policy.decide(sample(), 0.0).target == 0

    assert policy.decide(sample(queued=1, arrivals=1), 1.0).target >= 1
    assert policy.decide(sample(ready=1), 300.0).target == 1
    assert ticks(policy, sample(ready=1), 60, start=301).target == 0


def test_a_pool_that_is_slow_to_wake_does_not_sleep() -> None:
    manifest = pool(minRunners=0, scaleToZero={"coldStartBudgetSeconds": 20})
    policy = policy_for(manifest, None)
    policy.decide(sample(1, arrivals=1, startups=(60.0,)), 0.0)

    assert ticks(policy, sample(ready=1), 100, start=5000).target == 1


def test_a_rest_without_questions_does_not_disturb_the_estimates() -> None:
    policy = policy_for(pool(), None)
    ticks(policy, sample(ready=1), 10)

    policy.decide(sample(1, arrivals=1, ready=1), 50_000.0)
    exported = policy.export()

    assert exported["exposureSeconds"] == pytest.approx(180 * float(str(exported["ended"])))
    assert policy.decide(sample(1, ready=1), 50_001.0).target <= 2


def test_runners_of_one_or_two_sessions_round_up() -> None:
    small = Horizon(HorizonSettings(Limits(1, 0, 10_000, Size(0)), 0.99), adopted=False)
    large = Horizon(HorizonSettings(Limits(3, 0, 10_000, Size(0)), 0.99), adopted=False)

    one = int(small.decide(sample(50), 0.0).reason.split("up to ")[1].split()[0])
    three = int(large.decide(sample(50), 0.0).reason.split("up to ")[1].split()[0])

    assert one == three + 1
