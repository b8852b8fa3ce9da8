"""What a pool learns about itself."""

import math

import pytest

from paddock_operator.autoscale.estimates import Dispersion, EndHazard, StartupTimes, Steering


def test_the_hazard_begins_at_the_expected_session_length() -> None:
    assert EndHazard.expecting(180.0).rate == pytest.approx(1 / 180)


def test_the_hazard_finds_the_true_session_length() -> None:
    hazard = EndHazard.expecting(180.0)

    for _ in range(4 * 3600):
        hazard.observe(1.0, in_progress=60, ended=1)

    assert hazard.rate == pytest.approx(1 / 60, rel=0.02)


def test_sessions_that_do_not_end_lower_the_hazard() -> None:
    hazard = EndHazard.expecting(180.0)

    hazard.observe(600.0, in_progress=20, ended=0)

    assert hazard.rate < 1 / 900


def test_a_rest_of_a_year_keeps_the_hazard_and_makes_it_easy_to_change() -> None:
    hazard = EndHazard.expecting(180.0)

    for _ in range(365):
        hazard.observe(86_400.0, in_progress=0, ended=0)

    assert hazard.rate == pytest.approx(1 / 180)
    assert hazard.ended == pytest.approx(1.0)


def test_sessions_of_no_length_give_a_finite_hazard() -> None:
    hazard = EndHazard.expecting(1.0)

    for _ in range(100):
        hazard.observe(86_400.0, in_progress=0, ended=1000)

    assert math.isfinite(hazard.rate)


def test_startup_time_follows_the_hint_until_it_is_measured() -> None:
    startup = StartupTimes(20.0)

    assert startup.p90_s == 25.0
    assert startup.p95_s is None

    startup.add([5.0])

    assert startup.p90_s == 5.0


def test_startup_quantile_is_over_the_last_fifty() -> None:
    startup = StartupTimes(20.0, [1000.0] * 50)

    startup.add(float(each) for each in range(1, 51))

    assert startup.p90_s == 45.0
    assert startup.p95_s == 48.0
    assert len(startup.export()) == 50


def test_dispersion_never_counts_as_calmer_than_poisson_and_is_bounded() -> None:
    assert Dispersion(0.1).factor == 1.0
    assert Dispersion(20.0).factor == 4.0


def test_bursts_raise_the_dispersion_and_one_accident_hardly_does() -> None:
    once, often = Dispersion(), Dispersion()

    once.observe(10_000.0, rate=1.0)
    for _ in range(100):
        often.observe(50.0, rate=1.0)

    assert once.raw <= 1.5
    assert often.factor == 4.0


def test_a_period_with_hardly_any_arrivals_says_nothing_of_bursts() -> None:
    dispersion = Dispersion()

    dispersion.observe(5.0, rate=0.01)
    dispersion.observe(None, rate=10.0)

    assert dispersion.raw == 1.0


def test_dispersion_is_due_once_per_period() -> None:
    dispersion = Dispersion()

    assert [now for now in range(100) if dispersion.due(float(now))] == [20, 40, 60, 80]


def test_late_starts_raise_the_safety_and_prompt_ones_lower_it() -> None:
    steering = Steering(0.99)

    steering.observe(answered=1, late=1)
    high = steering.value
    steering.observe(answered=100, late=0)

    assert high > 0.0
    assert steering.value < high


def test_steering_rests_when_the_late_share_meets_its_goal() -> None:
    steering = Steering(0.99)

    for _ in range(100):
        steering.observe(answered=1000, late=9)

    assert steering.value == pytest.approx(0.0)


def test_steering_stays_within_its_bounds() -> None:
    steering = Steering(0.99)

    steering.observe(answered=0, late=10_000)
    assert steering.value == Steering.HIGHEST

    for _ in range(200):
        steering.observe(answered=1000, late=0)
    assert steering.value == Steering.LOWEST


def test_steering_that_may_not_lower_still_rises() -> None:
    steering = Steering(0.99)

    steering.observe(answered=100, late=0, may_lower=False)
    assert steering.value == 0.0

    steering.observe(answered=0, late=1, may_lower=False)
    assert steering.value > 0.0
