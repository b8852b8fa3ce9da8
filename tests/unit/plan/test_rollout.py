"""A roll-out replaces runners without a caller missing their slots, and stops when it fails."""

from fakes.pools import NOW, draining, pending, pool, runner, starting, want
from paddock_operator.plan.actions import CancelStart, Create, WriteIntent
from paddock_operator.plan.planner import plan
from paddock_operator.plan.view import DrainReason, PoolView, RunnerView


def old(count: int, booked: int = 0) -> tuple[RunnerView, ...]:
    return tuple(
        runner(f"old{n}", booked, revision="old", created_at=NOW - 5000.0 + n) for n in range(count)
    )


def new(count: int, ready_s: float = 60.0) -> tuple[RunnerView, ...]:
    return tuple(
        runner(f"new{n}", ready_at=NOW - ready_s, created_at=NOW - 100.0) for n in range(count)
    )


def created(view: PoolView, target: int) -> int:
    actions = plan(view, want(target), NOW).actions
    return sum(action.count for action in actions if isinstance(action, Create))


def written(view: PoolView, target: int) -> list[tuple[str, DrainReason | None]]:
    actions = plan(view, want(target), NOW).actions
    return [(a.runner_id, a.after.reason) for a in actions if isinstance(a, WriteIntent)]


def test_new_runners_are_created_above_the_maximum_by_the_surge_only() -> None:
    assert created(pool(*old(5), max_runners=5), 5) == 2
    assert created(pool(*old(5), *new(2, 1.0), max_runners=5), 5) == 0
    assert created(pool(*old(5), max_runners=9), 5) == 2
    assert written(pool(*old(5), max_runners=5), 5) == []


def test_draining_old_runners_use_up_the_surge_at_the_maximum() -> None:
    leaving = tuple(
        draining(f"d{n}", 4, DrainReason.ROLLOUT, revision="old", reported=4) for n in range(2)
    )
    assert created(pool(*old(3), *new(2), *leaving, max_runners=5), 5) == 0
    assert created(pool(*old(3), *new(2), *leaving, max_runners=9), 5) == 2


def test_old_runners_leave_as_new_ones_prove_ready() -> None:
    """The busy ones too, and no more than are replaced."""
    rollout = DrainReason.ROLLOUT
    view = pool(*old(3, 1), *new(2), max_runners=3)
    assert [("old2", rollout), ("old1", rollout)] == written(view, 3)


def test_a_runner_that_just_became_ready_does_not_count_yet() -> None:
    view = pool(*old(3), *new(2, 9.0))
    assert written(view, 3) == []
    assert plan(view, want(3), NOW).next_at == NOW + 1.0


def test_old_runners_stay_while_their_slots_are_needed() -> None:
    assert written(pool(*old(3), *new(2), warm_sessions=17), 3) == []
    assert len(written(pool(*old(3), *new(2), warm_sessions=16), 3)) == 1
    assert written(pool(*old(3), *new(2), queued=1), 3) == []
    assert written(pool(*old(3), *new(2), fresh=False), 3) == []


def test_the_budget_of_drains_is_shared() -> None:
    leaving = draining("d", 1, reported=1)
    assert len(written(pool(*old(3), *new(2), leaving, max_draining=2), 3)) == 1


def test_a_start_of_an_old_revision_is_withdrawn_and_made_anew() -> None:
    actions = plan(pool(pending("p", revision="old")), want(1), NOW).actions
    assert (CancelStart("p"), Create("new", 1)) == actions


def test_a_busy_runner_that_cannot_drain_is_replaced_too() -> None:
    view = pool(runner("v2", 1, revision="old", can_drain=False), *new(1))
    assert written(view, 1) == [("v2", DrainReason.ROLLOUT)]


def test_demand_that_falls_meanwhile_takes_old_runners_first() -> None:
    drains = written(pool(*old(3), *new(2)), 2)
    assert [(f"old{n}", DrainReason.ROLLOUT) for n in (2, 1, 0)] == drains


def test_a_paused_roll_out_replaces_nothing_but_grows_with_the_new_revision() -> None:
    assert written(pool(*old(3), *new(2), rollout="Paused"), 5) == []
    assert created(pool(*old(3), rollout="Paused"), 3) == 0
    assert created(pool(*old(3), rollout="Paused"), 4) == 1


def test_a_surge_is_growth_and_waits_while_growth_is_paused() -> None:
    assert created(pool(*old(3), paused="ScaleUp"), 3) == 0
    assert created(pool(*old(3), paused="ScaleDown"), 3) == 2


def test_without_progress_old_runners_are_kept_and_nothing_gives_way_to_what_starts() -> None:
    stuck = starting("stuck", created_at=NOW - 200.0)
    proven = runner("new0", ready_at=NOW - 700.0, created_at=NOW - 900.0)
    moving = pool(*old(3), proven, stuck)
    assert len(written(moving, 3)) == 1
    stalled = pool(*old(2), proven, stuck, rollout_progress_at=NOW - 600.0)
    assert [w for w in written(stalled, 3) if w[1] is DrainReason.ROLLOUT] == []


def test_when_new_runners_do_not_come_a_full_pool_takes_old_ones_back() -> None:
    leaving = draining("d", 2, DrainReason.ROLLOUT, revision="old", reported=2)
    stuck = starting("stuck", created_at=NOW - 200.0)
    view = pool(*old(1, 4), leaving, stuck, progress_deadline_s=100.0)
    assert written(view, 2) == [("d", None)]
    assert written(pool(*old(1, 3), leaving, stuck, progress_deadline_s=100.0), 2) == []
    never = pool(*old(1, 4), leaving, stuck, progress_deadline_s=100.0, undrain_old_revision=False)
    assert written(never, 2) == []


def test_the_newest_revision_comes_back_first() -> None:
    view = pool(draining("old", 3, revision="old", reported=3), draining("new", 1, reported=1))
    assert written(view, 1) == [("new", None)]
