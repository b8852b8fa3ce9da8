"""When a request is sent again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock_operator.backends.kubernetes.errors import (
    NOT_CONNECTED,
    TIMED_OUT,
    Cause,
    Conflict,
    Forbidden,
    KubeError,
    NotFound,
    ServerUnavailable,
    TooManyRequests,
)
from paddock_operator.backends.kubernetes.retry import Backoff, Retries

_RETRIES = Retries(Backoff(jitter=lambda: 1.0))


def _delay(error: KubeError, *, repeatable: bool, elapsed_s: float = 0.0) -> float | None:
    return _RETRIES.delay(error, failures=1, elapsed_s=elapsed_s, repeatable=repeatable)


@pytest.mark.parametrize("error", [Conflict("x"), NotFound("x"), Forbidden("x"), KubeError("x")])
def test_an_answer_that_will_not_change_is_final(error: KubeError) -> None:
    assert _delay(error, repeatable=True) is None


def test_what_may_have_been_done_is_repeated_only_where_that_is_safe() -> None:
    unanswered = ServerUnavailable("x", reason=TIMED_OUT)

    assert _delay(unanswered, repeatable=True)
    assert _delay(unanswered, repeatable=False) is None


def test_what_cannot_have_been_done_is_always_repeated() -> None:
    assert _delay(ServerUnavailable("x", reason=NOT_CONNECTED), repeatable=False)
    assert _delay(TooManyRequests("x", status=429), repeatable=False)


def test_a_protected_pod_is_no_sign_of_load() -> None:
    refused = TooManyRequests("x", status=429, causes=(Cause("DisruptionBudget", "no"),))

    assert _delay(refused, repeatable=True) is None


def test_retry_after_is_a_floor() -> None:
    assert _delay(TooManyRequests("x", retry_after_s=4), repeatable=True) == pytest.approx(4.1)


def test_it_is_given_up_when_the_next_attempt_would_be_too_late() -> None:
    assert _delay(ServerUnavailable("x"), repeatable=True, elapsed_s=29.8)
    assert _delay(ServerUnavailable("x"), repeatable=True, elapsed_s=29.95) is None
    assert _delay(TooManyRequests("x", retry_after_s=31), repeatable=True) is None


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_a_wait_doubles_within_bounds(failures: int, jitter: float) -> None:
    backoff = Backoff(first_s=0.1, most_s=5.0, jitter=lambda: jitter)

    wait_s = backoff.after(failures)

    whole = min(5.0, 0.1 * 2.0 ** min(failures - 1, 60))
    assert whole / 2 <= wait_s <= whole
