"""Sizes as numbers and percentages."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock_operator.model.quantity import PERCENT_PATTERN, Size


@given(st.integers(0, 2**31 - 1) | st.integers(0, 100).map(lambda share: f"{share}%"))
def test_what_is_written_is_read_and_written_the_same(value: int | str) -> None:
    assert Size.parse(value).as_json() == value


@pytest.mark.parametrize(
    "value", [-1, 2**31, True, 1.0, None, "4", "25 %", "101%", "007%", "-1%", "٢%", "5%\n", [], {}]
)
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="expected a whole number"):
        Size.parse(value)


@given(st.text(max_size=5) | st.integers(0, 999).map(lambda share: f"{share}%"))
def test_the_published_pattern_accepts_exactly_what_is_read(text: str) -> None:
    published = re.search(PERCENT_PATTERN.replace("$", r"\Z"), text) is not None
    try:
        Size.parse(text)
    except ValueError:
        assert not published
    else:
        assert published


@given(st.integers(1, 100), st.integers(0, 10_000))
def test_a_share_rounds_up_and_is_at_least_one(share: int, total: int) -> None:
    size = Size(share, percent=True).of(total)

    assert size == max(1, math.ceil(share * total / 100 - 1e-9))


def test_nothing_of_something_is_nothing() -> None:
    assert Size(0, percent=True).of(50) == 0


@given(st.integers(0, 99), st.integers(0, 10_000))
def test_a_reserve_is_the_smallest_that_leaves_the_share_free(share: int, demand: int) -> None:
    free = Size(share, percent=True).reserve(demand)

    assert free * 100 >= share * (demand + free)
    assert free == 0 or (free - 1) * 100 < share * (demand + free - 1)


def test_a_number_does_not_depend_on_the_whole() -> None:
    assert Size(7).of(1000) == Size(7).reserve(1000) == 7
