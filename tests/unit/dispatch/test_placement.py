"""The placement index picks what a scan over all runners would pick."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock_orchestrator.dispatch.placement import Placement, PlacementIndex

NAMES = [f"r{n}" for n in range(8)]
CHANGE = st.tuples(st.sampled_from(NAMES), st.integers(1, 6), st.integers(0, 6), st.booleans())


def scan(
    placement: Placement, state: dict[str, tuple[int, int]], exclude: frozenset[str]
) -> str | None:
    def rank(name: str) -> tuple[float, int]:
        used, capacity = state[name]
        packed = placement is Placement.PACKED
        return (capacity - used if packed else used / capacity, NAMES.index(name))

    return min((n for n in state if n not in exclude), key=rank, default=None)


@pytest.mark.parametrize("placement", list(Placement))
@given(
    changes=st.lists(st.tuples(CHANGE, st.frozensets(st.sampled_from(NAMES), max_size=3))),
)
def test_the_best_runner_is_the_one_a_scan_finds(
    placement: Placement,
    changes: list[tuple[tuple[str, int, int, bool], frozenset[str]]],
) -> None:
    index = PlacementIndex(placement)
    state: dict[str, tuple[int, int]] = {}
    for (name, capacity, used, gone), exclude in changes:
        if gone or used >= capacity:
            index.discard(name)
            state.pop(name, None)
        else:
            index.put(name, used=used, capacity=capacity, order=NAMES.index(name))
            state[name] = (used, capacity)
        assert len(state) == len(index)
        assert scan(placement, state, exclude) == index.best(exclude)
        assert scan(placement, state, frozenset()) == index.best()


def test_packed_fills_the_fullest_and_spread_the_emptiest() -> None:
    for placement, expected in ((Placement.PACKED, "full"), (Placement.SPREAD, "empty")):
        index = PlacementIndex(placement)
        index.put("empty", used=0, capacity=4, order=1)
        index.put("full", used=3, capacity=4, order=2)
        assert expected == index.best()


def test_the_heap_does_not_grow_with_the_number_of_changes() -> None:
    index = PlacementIndex()
    for turn in range(10_000):
        index.put("a", used=turn % 3, capacity=4, order=1)
    assert len(index._heap) < 100
