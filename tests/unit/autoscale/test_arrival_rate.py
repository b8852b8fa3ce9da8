"""The arrival rate and its window."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock_operator.autoscale.rate import LONGEST_WINDOW_S, ArrivalRate


def fed(*parts: tuple[int, int]) -> ArrivalRate:
    """A rate that saw, for each part, so many seconds with so many arrivals each."""
    rate = ArrivalRate()
    rate.add(0.0, 0)
    second = 0
    for seconds, arrivals in parts:
        for _ in range(seconds):
            second += 1
            rate.add(float(second), arrivals)
            rate.estimate(1.0)
    return rate


def test_steady_arrivals_use_the_longest_window() -> None:
    rate = fed((2000, 3))

    assert rate.rate == pytest.approx(3.0)
    assert rate.window_s == LONGEST_WINDOW_S


def test_a_step_up_is_found_within_ten_seconds() -> None:
    rate = fed((2000, 1), (10, 8))

    assert rate.rate > 4.0
    assert rate.window_s <= 20


def test_a_step_down_is_found_within_a_minute() -> None:
    rate = fed((2000, 4), (60, 0))

    assert rate.rate < 1.0


def test_a_young_pool_divides_by_what_it_saw() -> None:
    rate = fed((100, 2))

    assert rate.rate == pytest.approx(2.0)
    assert rate.window_s == 100


def test_the_first_second_does_not_invent_a_rate() -> None:
    rate = fed((1, 1))

    assert rate.rate <= 0.2


def test_arrivals_of_a_gap_are_spread_over_it() -> None:
    rate = fed((1500, 1))

    rate.add(1800.0, 300)
    rate.estimate(1.0)

    assert rate.rate == pytest.approx(1.0)
    assert rate.window_s == LONGEST_WINDOW_S


def test_arrivals_that_end_a_rest_count_as_sudden() -> None:
    rate = fed((1500, 0))

    rate.add(1800.0, 60, at_once=True)
    rate.estimate(1.0)

    assert rate.rate == pytest.approx(60 / 5)


def test_a_gap_longer_than_the_ring_forgets_what_was_before() -> None:
    rate = fed((1500, 9))

    rate.add(10_000.0, 0)
    rate.estimate(1.0)

    assert rate.rate == 0.0


def test_several_ticks_in_one_second_add_up() -> None:
    rate = fed((30, 1))

    rate.add(30.2, 2)
    rate.add(30.9, 3)

    assert rate.recent(10) == 15.0


def test_recent_is_unknown_until_so_much_was_seen() -> None:
    assert fed((19, 1)).recent(20) is None
    assert fed((20, 1)).recent(20) == 20.0


@pytest.mark.parametrize("silent_s", [LONGEST_WINDOW_S - 1, LONGEST_WINDOW_S, 3000])
def test_after_a_silence_of_any_length_arrivals_count_as_after_any_other(silent_s: int) -> None:
    rate, other = fed((100, 7), (silent_s, 0), (10, 3)), fed((100 + silent_s, 0), (10, 3))

    assert rate.recent(LONGEST_WINDOW_S) == other.recent(LONGEST_WINDOW_S) == 30.0
    assert (rate.rate, rate.window_s) == (other.rate, other.window_s)


def test_a_pool_to_which_nobody_comes_takes_next_to_no_memory() -> None:
    tracemalloc.start()
    try:
        rates = [fed((20, 0)) for _ in range(100)]
        forgotten = fed((10, 1), (LONGEST_WINDOW_S + 1, 0))
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert forgotten.rate == rates[0].rate == 0.0
    assert taken < 101 * 500


@given(
    steps=st.lists(st.tuples(st.floats(0, 3000), st.integers(0, 1000)), max_size=60),
    dispersion=st.floats(1, 4),
)
def test_the_rate_is_never_negative_and_never_above_all_arrivals(
    steps: list[tuple[float, int]], dispersion: float
) -> None:
    rate, now, total = ArrivalRate(), 0.0, 0
    rate.add(now, 0)
    for dt, arrivals in steps:
        now += dt
        total += arrivals
        rate.add(now, arrivals)
        rate.estimate(dispersion)
        assert -1e-6 <= rate.rate <= total / 5 + 1e-6
        assert 5 <= rate.window_s <= LONGEST_WINDOW_S
