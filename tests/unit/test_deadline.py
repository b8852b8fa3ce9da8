"""When agents are warned of a drain's deadline."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock._deadline import warning_due

SECONDS = st.floats(0, 1e6)


@pytest.mark.parametrize(
    ("seconds", "warn_before_s", "due"),
    [
        (300.0, 60.0, (240.0, 60.0)),
        (60.0, 60.0, (0.0, 60.0)),
        (40.0, 60.0, (0.0, 40.0)),
        (300.0, 0.0, None),
        (0.0, 60.0, None),
    ],
)
def test_a_warning_comes_in_its_time_or_at_once(
    seconds: float, warn_before_s: float, due: tuple[float, float] | None
) -> None:
    assert warning_due(seconds, warn_before_s) == due


@given(SECONDS, SECONDS)
def test_whoever_is_warned_hears_what_is_left_then(seconds: float, warn_before_s: float) -> None:
    due = warning_due(seconds, warn_before_s)
    if due is None:
        assert min(seconds, warn_before_s) == 0
    else:
        in_s, left_s = due
        assert in_s >= 0
        assert 0 < left_s <= warn_before_s
        assert in_s + left_s == pytest.approx(seconds)
