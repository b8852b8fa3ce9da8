"""What keeps a pool from shrinking too soon."""

from hypothesis import given
from hypothesis import strategies as st

from paddock_operator.autoscale.hold import Floor, RecentPeak, RestartGrace


@given(
    steps=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 50)), min_size=1),
    window=st.integers(0, 60),
)
def test_the_peak_is_the_maximum_over_the_window(steps: list[tuple[int, int]], window: int) -> None:
    peak, now = RecentPeak(), 0
    seen: list[tuple[int, int]] = []
    for dt, value in steps:
        now += dt
        seen.append((now, value))
        expected = max(each for when, each in seen if when >= now - window)

        assert peak.add(value, float(now), float(window))[0] == expected


def test_the_peak_says_how_long_it_lasts() -> None:
    peak = RecentPeak()

    peak.add(7, 100.0, 30.0)

    assert peak.add(3, 110.0, 30.0) == (7, 20.0)
    assert peak.add(3, 131.0, 30.0) == (3, 30.0)


def test_a_shorter_window_lets_go_at_once() -> None:
    peak = RecentPeak()
    peak.add(7, 100.0, 60.0)

    assert peak.add(3, 110.0, 5.0)[0] == 3


def test_grace_lasts_one_start_and_a_minute_from_the_first_question() -> None:
    grace = RestartGrace(needed=True)

    assert grace.left(1000.0, 20.0) == 80.0
    assert grace.left(1079.0, 20.0) == 1.0
    assert grace.left(1080.0, 20.0) == 0.0
    assert grace.left(1080.0, 500.0) == 0.0


def test_no_grace_where_none_is_needed() -> None:
    assert RestartGrace(needed=False).left(0.0, 20.0) == 0.0


def test_what_is_created_while_frozen_does_not_raise_the_floor() -> None:
    floor = Floor()
    assert [floor.at(n, frozen=True, fresh=True) for n in (2, 3, 5, 1)] == [2, 2, 2, 2]
    assert floor.at(5, frozen=False, fresh=True) == 0
    assert floor.at(4, frozen=True, fresh=True) == 4


def test_without_fresh_statistics_every_runner_counts() -> None:
    floor = Floor()
    assert [floor.at(n, frozen=True, fresh=False) for n in (2, 3, 1)] == [2, 3, 3]
