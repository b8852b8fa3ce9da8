"""Which runners leave first, and how many may."""

import pytest

from fakes.pools import NOW, pool, runner
from paddock_operator.plan.victims import choose_victims, free_slots, in_victim_order, is_eligible
from paddock_operator.plan.view import RunnerView


@pytest.mark.parametrize(
    ("eligible", "idle_only", "seen"),
    [
        (True, True, runner("idle", 0)),
        (False, True, runner("busy", 1)),
        (True, False, runner("busy", 1)),
        (False, False, runner("unknown", None)),
        (True, True, runner("idle, cannot drain", 0, can_drain=False)),
        (False, False, runner("busy, cannot drain", 1, can_drain=False)),
    ],
)
def test_consent(eligible: bool, idle_only: bool, seen: RunnerView) -> None:
    assert eligible is is_eligible(seen, idle_only)


RUNNERS = (
    runner("a", 2, created_at=NOW - 40.0, oldest_session_s=500.0, node="n1"),
    runner("b", 1, created_at=NOW - 30.0, oldest_session_s=10.0, node="n1"),
    runner("c", 1, created_at=NOW - 20.0, oldest_session_s=90.0, node="n2"),
    runner("d", 0, created_at=NOW - 10.0, node="n1"),
    runner("e", 0, created_at=NOW - 50.0, node="n2"),
    runner("o", 3, created_at=NOW - 90.0, node="n3", revision="old", oldest_session_s=1.0),
)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("FewestSessions", "odecba"),
        ("ShortestRemaining", "odeacb"),
        ("EmptyNode", "oecdba"),
        ("Newest", "odcbae"),
    ],
)
def test_old_revisions_first_then_the_order_then_the_newest(order: str, expected: str) -> None:
    view = pool(*RUNNERS, order=order)
    assert expected == "".join(r.runner_id for r in in_victim_order(view, RUNNERS))


def test_a_node_empties_only_if_none_of_its_runners_is_busy() -> None:
    """Sessions on runners that may not leave keep a node just as much."""
    stuck = runner("s", 4, node="n1", created_at=NOW - 5.0)
    idle = (runner("x", 0, node="n1"), runner("y", 0, node="n2", created_at=NOW - 2000.0))
    view = pool(stuck, *idle, order="EmptyNode")
    assert [r.runner_id for r in in_victim_order(view, idle)] == ["y", "x"]


@pytest.mark.parametrize(
    ("spare", "count", "expected"),
    [(99, 2, "de"), (8, 9, "de"), (7, 9, "dc"), (3, 9, "c"), (0, 9, ""), (-1, 9, ""), (99, 0, "")],
)
def test_victims_leave_only_while_their_free_slots_can_be_spared(
    spare: int, count: int, expected: str
) -> None:
    serving = RUNNERS[2:5]
    victims = choose_victims(pool(*serving), serving, count, spare)
    assert expected == "".join(r.runner_id for r in victims)


def test_a_full_runner_takes_no_free_slot_along() -> None:
    full = runner("full", 4)
    assert [full] == choose_victims(pool(full), [full], 1, 0)


@pytest.mark.parametrize(("booked", "free"), [(None, 0), (0, 4), (3, 1), (4, 0), (6, 0)])
def test_free_slots_are_never_negative_and_never_guessed(booked: int | None, free: int) -> None:
    assert free == free_slots(runner("r", booked))
