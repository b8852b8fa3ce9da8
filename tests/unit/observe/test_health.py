"""When the operator says that it is well, and when that it is ready."""

import pytest

from paddock_operator.observe.health import Signs, liveness, readiness


@pytest.mark.parametrize(
    "signs",
    [
        Signs(),
        Signs(loop_lag_s=1.0, watch_silent_s=60.0, oldest_key_s=10.0),
        Signs(leads=False, watches_synced=False),
    ],
)
def test_an_operator_at_work_is_well(signs: Signs) -> None:
    assert liveness(signs).ok
    assert liveness(signs).text == "ok\n"


@pytest.mark.parametrize(
    ("signs", "word"),
    [
        (Signs(loop_lag_s=31.0), "event loop"),
        (Signs(watch_silent_s=601.0), "watches"),
        (Signs(oldest_key_s=301.0), "pool"),
    ],
)
def test_what_hangs_is_named(signs: Signs, word: str) -> None:
    health = liveness(signs)
    assert not health.ok
    assert word in health.text


def test_every_problem_is_told() -> None:
    all_of_them = Signs(loop_lag_s=99.0, watch_silent_s=9999.0, oldest_key_s=999.0)
    assert liveness(all_of_them).text.count("\n") == 3


def test_a_leader_that_sees_the_cluster_and_a_standby_are_ready() -> None:
    """A standby must be, or a roll-out of the operator would wait for the old one for ever."""
    assert readiness(Signs(leads=True, watches_synced=True)).ok
    assert readiness(Signs(stands_by=True)).ok


def test_what_keeps_an_operator_from_being_ready_is_named() -> None:
    assert "lists" in readiness(Signs(leads=True)).text
    assert "lease" in readiness(Signs()).text
