"""How played calls are counted, and when they come."""

import random

import pytest

from paddock.client import arrivals
from paddock.client.callers import Outcome, Tally, classify, percentiles
from paddock.client.text import Ending


@pytest.mark.parametrize(
    ("reason", "hung_up", "kind"),
    [
        ("completed", True, "completed"),
        ("completed", False, "completed"),
        ("transferred", False, "completed"),
        ("drain_timeout", False, "cut"),
        ("terminated", False, "cut"),
        ("drain_timeout", True, "completed"),
        ("runner_lost", False, "lost"),
        ("runner_lost", True, "lost"),
        ("error", False, "failed"),
    ],
)
def test_a_call_is_cut_only_if_nobody_in_it_wanted_its_end(
    reason: str, hung_up: bool, kind: str
) -> None:
    """A caller who hung up was cut by nobody; a lost runner is a loss in any case."""
    assert classify(Ending(reason), hung_up=hung_up, answered=True)[0] == kind


@pytest.mark.parametrize(
    ("reason", "hung_up", "kind"),
    [
        ("completed", True, "failed"),
        ("drain_timeout", True, "failed"),
        ("runner_lost", True, "lost"),
        ("completed", False, "completed"),
        ("transferred", False, "completed"),
    ],
)
def test_who_hangs_up_unanswered_has_a_failed_call_and_who_is_hung_up_on_has_not(
    reason: str, hung_up: bool, kind: str
) -> None:
    """An agent may end a call, or pass it on, instead of an answer."""
    assert classify(Ending(reason), hung_up=hung_up, answered=False)[0] == kind


def test_every_call_is_counted_in_one_place() -> None:
    """Refused, cut, lost, failed and completed add up to what is over."""
    tally = Tally()
    for outcome in (
        Outcome("completed", "completed", start_s=0.1, first_word_ms=20.0, answers_ms=(5.0,)),
        Outcome("cut", "drain_timeout", start_s=0.9),
        Outcome("refused", "at_capacity", 429),
        Outcome("refused", "no_runners", 503),
        Outcome("failed", "timeout"),
    ):
        tally.add(outcome)
    summary = tally.summary()
    assert (summary["started"], summary["answered_at_once"], summary["waited"]) == (2, 1, 1)
    assert (summary["refused"], summary["refused_with_429"]) == (2, 1)
    assert summary["refused_for"] == {"at_capacity": 1, "no_runners": 1}
    assert (summary["cut"], summary["lost"], summary["failed"]) == (1, 0, 1)
    assert summary["first_word_ms"]["p50"] == 20.0


def test_percentiles_are_values_that_were_seen() -> None:
    """By nearest rank; none without values."""
    assert percentiles([float(n) for n in range(101)]) == {"p50": 50.0, "p95": 95.0, "p99": 99.0}
    assert percentiles([7.0]) == {"p50": 7.0, "p95": 7.0, "p99": 7.0}
    assert percentiles([]) == {}


def test_a_ramp_grows_evenly() -> None:
    """A quarter of the callers come in the first half."""
    times = list(arrivals.ramp(10, 20))
    assert len(times) == 100
    assert times == sorted(times)
    assert sum(at < 10 for at in times) == 25
    assert times[-1] < 20


def test_poisson_callers_come_at_their_rate_within_the_time() -> None:
    """And a seed makes the same callers again."""
    times = list(arrivals.poisson(50, 40, random.Random(1).random))
    assert 1800 < len(times) < 2200
    assert times == sorted(times)
    assert times[-1] < 40
    assert times == list(arrivals.poisson(50, 40, random.Random(1).random))


def test_a_burst_is_at_once_and_in_the_middle() -> None:
    """On top of the steady callers, of which there may be none."""
    times = list(arrivals.burst(1, 10, 30))
    assert len(times) == 40
    assert times.count(5.0) == 31
    assert times == sorted(times)
    assert list(arrivals.burst(0, 10, 3)) == [5.0] * 3
