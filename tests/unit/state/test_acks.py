"""Acknowledgements of runners' events."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from paddock_orchestrator.state.acks import Acks


def test_an_event_is_not_covered_while_an_earlier_one_is_not_durable() -> None:
    acks = Acks()
    assert acks.heard(1, durable=False) == 0
    assert acks.heard(2, durable=True) == 0
    assert acks.saved(1) == 2


@given(st.lists(st.booleans(), max_size=30), st.randoms(use_true_random=False))
def test_what_is_covered_is_durable_and_in_the_end_everything_is(
    durable: list[bool], random: Random
) -> None:
    acks = Acks()
    waiting = {seq for seq, at_once in enumerate(durable, 1) if not at_once}
    covered = 0
    for seq, at_once in enumerate(durable, 1):
        covered = acks.heard(seq, durable=at_once)
        assert not any(w <= covered for w in waiting)
    order = sorted(waiting)
    random.shuffle(order)
    for seq in order:
        waiting.discard(seq)
        covered = acks.saved(seq)
        assert not any(w <= covered for w in waiting)
    assert len(durable) == covered
