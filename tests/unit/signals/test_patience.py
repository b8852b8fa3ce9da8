"""Who waits for an orchestrator that does not answer, and who does not."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from paddock_operator.signals.patience import PAUSE_S, Patience


def test_whoever_answers_is_asked_as_often_as_anybody_likes() -> None:
    patience = Patience()
    assert all(patience.may_ask(0.0) for _ in range(100))
    assert not patience.answered()


def test_after_a_failure_one_request_goes_through_in_each_pause() -> None:
    patience = Patience()
    patience.failed(0.0)
    assert not patience.may_ask(PAUSE_S - 0.1)
    assert [patience.may_ask(PAUSE_S) for _ in range(3)] == [True, False, False]
    assert not patience.may_ask(2 * PAUSE_S - 0.1)
    assert patience.may_ask(2 * PAUSE_S)


def test_nobody_waits_while_somebody_tries_beside_them() -> None:
    patience = Patience()
    for second in range(60):
        patience.failed(float(second))
        assert not patience.may_ask(second + 0.9)


def test_one_answer_is_enough_and_is_news_once() -> None:
    patience = Patience()
    patience.failed(0.0)
    assert patience.answered()
    assert not patience.answered()
    assert all(patience.may_ask(0.1) for _ in range(3))


@given(st.lists(st.floats(0.0, 1000.0), max_size=200).map(sorted))
def test_those_who_ask_never_wait_more_often_than_once_in_a_pause(times: list[float]) -> None:
    patience = Patience()
    patience.failed(0.0)
    waited = [now for now in times if patience.may_ask(now)]
    assert all(before + PAUSE_S <= after for before, after in pairwise(waited))
