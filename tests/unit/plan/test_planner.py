"""What the planner decides, one situation at a time."""

import pytest
from msgspec import structs

from fakes.pools import NOW, SETTINGS, TIMEOUT_S, draining, pending, pool, runner, starting, want
from paddock.protocol.words import Mode
from paddock_operator.plan.actions import (
    Action,
    CancelStart,
    Commit,
    Create,
    Forget,
    Plan,
    Tell,
    WriteIntent,
)
from paddock_operator.plan.drain import DEADLINE_SLACK_S, UNHEARD
from paddock_operator.plan.planner import plan
from paddock_operator.plan.view import (
    BarrierReport,
    DrainReason,
    Intent,
    Phase,
    PoolView,
    RunnerView,
)


def told(made: Plan) -> list[str]:
    """The plan in short words, in its order."""
    return [word(action) for action in made.actions]


def word(action: Action) -> str:
    match action:
        case Create(revision, count):
            return f"create {count} {revision}"
        case WriteIntent(runner_id, _, after):
            return f"{after.reason or 'undrain'} {runner_id}"
        case Commit(runner_id, _, outcome, cut):
            return f"{outcome} {runner_id} {cut}"
        case Tell(runner_id):
            return f"tell {runner_id}"
        case CancelStart(runner_id):
            return f"cancel {runner_id}"
        case Forget(runner_id):
            return f"forget {runner_id}"


def short(view: PoolView, target: int) -> list[str]:
    return told(plan(view, want(target), NOW))


def serving(count: int, booked: int = 0, revision: str = "new") -> tuple[RunnerView, ...]:
    """The first is the oldest, so the last goes first."""
    return tuple(
        runner(f"{revision}{n}", booked, revision=revision, created_at=NOW - 2000.0 + n)
        for n in range(count)
    )


def test_a_pool_at_its_target_is_left_alone() -> None:
    made = plan(pool(*serving(2, 1), starting("s")), want(3), NOW)
    assert told(made) == []
    assert made.reason == "Hold 3 runners: as the test says"
    assert made.next_at == NOW - 5.0 + 300.0


def test_what_failed_is_forgotten_and_replaced() -> None:
    assert short(pool(runner("f", phase=Phase.FAILED)), 1) == ["create 1 new", "forget f"]


@pytest.mark.parametrize(
    ("created", "changes"),
    [
        (5, {}),
        (4, {"max_runners": 5}),
        (2, {"max_starting": 2}),
        (0, {"may_create_at": NOW + 1.0}),
        (0, {"paused": "ScaleUp"}),
        (0, {"paused": "Scaling"}),
        (0, {"paused": "Everything"}),
        (5, {"paused": "ScaleDown"}),
        (5, {"fresh": False}),
    ],
)
def test_creation_is_bounded(created: int, changes: dict[str, object]) -> None:
    expected = [f"create {created} new"] if created else []
    assert expected == short(pool(*serving(1), **changes), 6)


def test_growth_waits_for_the_back_off() -> None:
    made = plan(pool(may_create_at=NOW + 7.0), want(1), NOW)
    assert made.next_at == NOW + 7.0
    assert "1 short because starts failed and back off" in made.reason


@pytest.mark.parametrize("paused", ["ScaleUp", "Scaling"])
def test_what_failed_is_replaced_though_growth_is_paused(paused: str) -> None:
    """And is remembered until it can be; a runner that drained and left is not missed."""
    gone = runner("f", phase=Phase.FAILED)
    left = draining("d", phase=Phase.FAILED)
    view = pool(*serving(2), gone, left, paused=paused)
    assert short(view, 9) == ["create 1 new", "forget f", "forget d"]
    waiting = pool(*serving(2), gone, paused=paused, may_create_at=NOW + 1.0)
    assert short(waiting, 9) == []


def test_everything_that_costs_money_counts_against_the_maximum() -> None:
    """An ending runner only while it holds calls; an unknown one though it gives nothing."""
    ending = draining("t", 2, phase=Phase.TERMINATING)
    empty = draining("e", 0, phase=Phase.TERMINATING)
    busy = draining("d", 4, reported=4)
    view = pool(runner("u", None), ending, empty, busy, pending("p"), max_runners=5)
    assert short(view, 4) == ["create 1 new"]


def test_one_silent_runner_is_replaced_but_silence_of_all_is_the_statistics_fault() -> None:
    assert short(pool(runner("u", None)), 1) == ["create 1 new"]
    assert short(pool(runner("u", None), fresh=False), 1) == []


def test_a_drain_is_called_off_before_anything_is_created() -> None:
    """The fullest runner with a free slot first; a full one would add none."""
    view = pool(
        draining("little", 1, reported=1),
        draining("more", 3, reported=3),
        draining("full", 4, reported=4),
        draining("broken", 1, DrainReason.BROKEN, reported=1),
    )
    assert short(view, 1) == ["undrain more"]
    assert short(view, 3) == ["undrain more", "undrain little", "create 1 new"]


def test_time_spent_waiting_for_a_node_is_no_slow_start() -> None:
    deadline = SETTINGS.start_deadline_s
    created_at = NOW - deadline - 60.0
    assert short(pool(starting("s", created_at=created_at)), 1) != []
    waited = starting("s", created_at=created_at, placed_at=NOW - 10.0)
    assert short(pool(waited), 1) == []


def test_a_drained_runner_that_is_wanted_again_does_not_end() -> None:
    view = pool(draining("d", 0, reported=0))
    assert short(view, 1) == ["undrain d"]
    assert short(view, 0) == ["done d 0"]


def test_demand_that_goes_away_withdraws_starts_first_newest_first() -> None:
    view = pool(*serving(2), pending("p1", created_at=NOW - 9.0), pending("p2"))
    assert short(view, 3) == ["cancel p2"]
    assert short(view, 1) == ["cancel p2", "cancel p1", "ScaleDown new1"]


def test_a_runner_that_is_starting_does_not_take_the_place_of_one_that_serves() -> None:
    assert short(pool(*serving(2), starting("s")), 2) == []


@pytest.mark.parametrize(
    "changes",
    [{"fresh": False}, {"queued": 1}, {"paused": "ScaleDown"}, {"paused": "Scaling"}],
)
def test_nothing_leaves_for_demand_without_certainty(changes: dict[str, object]) -> None:
    assert short(pool(*serving(3), pending("p"), **changes), 1) == []


def test_drains_are_bounded() -> None:
    view = pool(*serving(5), draining("d", 1, reported=1), max_draining=3)
    assert short(view, 0) == ["ScaleDown new4", "ScaleDown new3"]


def test_drains_leave_the_warm_reserve() -> None:
    view = pool(*serving(3, 2), warm_sessions=4)
    assert short(view, 1) == ["ScaleDown new2"]


def test_only_idle_runners_leave_when_the_policy_says_so() -> None:
    view = pool(runner("busy", 1), runner("idle", 0), runner("unknown", None), idle_only=True)
    assert short(view, 0) == ["ScaleDown idle"]


def test_a_call_that_slipped_in_keeps_its_runner_when_only_idle_ones_leave() -> None:
    view = pool(draining("d", 1, reported=1), runner("idle"), idle_only=True)
    assert short(view, 1) == ["undrain d", "ScaleDown idle"]
    assert short(pool(draining("d", 1, reported=1), idle_only=False), 0) == []


def test_past_its_deadline_a_runner_ends_and_its_calls_are_counted() -> None:
    late = draining("d", 3, since=NOW - TIMEOUT_S - DEADLINE_SLACK_S, reported=3)
    assert short(pool(late), 1) == ["timeout d 3", "create 1 new"]
    assert short(pool(late, on_timeout="Keep"), 1) == ["create 1 new"]


def test_a_runner_that_cannot_drain_leaves_only_idle_and_in_two_steps() -> None:
    """First the orchestrator keeps calls away, then, still seen idle, it is ended."""
    view = pool(runner("busy", 1, can_drain=False), runner("idle", 0, can_drain=False))
    made = plan(view, want(0), NOW)
    assert told(made) == ["ScaleDown idle"]
    assert made.next_at == NOW + 5.0
    assert short(pool(draining("idle", 0, can_drain=False)), 0) == ["done idle 0"]
    assert short(pool(draining("idle", 0, can_drain=False), fresh=False), 0) == []


def test_commands_are_repeated_until_answered() -> None:
    undrained = runner("u", intent=Intent(2))
    assert short(pool(draining("d", 1), undrained, idle_only=True), 1) == ["tell d", "tell u"]


def test_a_runner_on_a_leaving_node_is_drained_and_replaced() -> None:
    view = pool(runner("r", 2, cordoned=True), draining("d", 1, cordoned=True, reported=1))
    assert short(view, 1) == ["NodeCordon r", "create 1 new"]


def test_a_start_that_is_overdue_is_drained_as_broken_and_replaced() -> None:
    """Only on fresh statistics, which would have shown it; an unplaced one merely waits."""
    late, unplaced = starting("s", created_at=NOW - 300.0), pending("p", created_at=NOW - 900.0)
    assert short(pool(late, unplaced), 2) == ["Broken s", "create 1 new"]
    assert short(pool(late, unplaced, fresh=False), 2) == []


def test_a_runner_that_fell_silent_for_long_is_drained_as_broken() -> None:
    view = pool(runner("u", None, silent_since=NOW - 300.0), *serving(1))
    assert short(view, 1) == ["Broken u"]


def test_a_deleted_pool_drains_everything() -> None:
    view = pool(
        *serving(1, 2), starting("s"), pending("p"), draining("d", 0, reported=0), deleting=True
    )
    made = plan(view, want(5), NOW)
    assert told(made) == ["cancel p", "PoolDeleted s", "PoolDeleted new0", "done d 0"]
    assert (
        made.reason
    ) == "Drain 2 (PoolDeleted), cancel 1 and end 1 toward 0 runners: the pool is deleted"


def test_a_drain_gets_the_next_epoch_and_the_pools_deadline() -> None:
    action = plan(pool(runner("r", intent=Intent(2))), want(0), NOW).actions[0]
    after = Intent(3, Mode.DRAIN, DrainReason.SCALE_DOWN, NOW, NOW + TIMEOUT_S)
    assert WriteIntent("r", Intent(2), after) == action


def test_a_pool_that_is_to_be_empty_keeps_no_reserve() -> None:
    view = pool(runner("idle", 0), warm_sessions=1)
    assert short(view, 0) == ["ScaleDown idle"]
    assert short(view, 1) == []


def test_a_start_that_is_stuck_on_its_node_for_long_is_made_anew() -> None:
    """Its image may be there on another node; one that waits for a node is left waiting."""
    late = NOW - 400.0
    stuck = pending("stuck", created_at=late, node="a")
    waiting = pending("waiting", created_at=late)
    assert short(pool(stuck, waiting), 2) == ["cancel stuck", "create 1 new"]


@pytest.mark.parametrize(
    "lost",
    [Intent(), Intent(-1), Intent(2, Mode.DRAIN, DrainReason.BROKEN, NOW, NOW + 60.0)],
    ids=["removed", "garbled", "restored"],
)
def test_an_intent_that_its_runner_is_past_is_written_anew_beyond_it(lost: Intent) -> None:
    """Else the runner would obey no command any more. What is to be, and until when, is kept."""
    past = runner("r", 2, intent=lost, report=BarrierReport(7, 2))
    actions = plan(pool(past), want(1), NOW).actions
    (write,) = [action for action in actions if isinstance(action, WriteIntent)]
    assert write == WriteIntent("r", lost, structs.replace(lost, drain_epoch=7 + UNHEARD + 1))


def test_a_drain_begins_beyond_what_its_runner_reports() -> None:
    past = runner("r", 0, intent=Intent(-1), report=BarrierReport(7, 1), cordoned=True)
    (write,) = plan(pool(past), want(0), NOW).actions
    assert isinstance(write, WriteIntent)
    assert (write.before, write.after.drain_epoch, write.after.mode) == (
        Intent(-1), 7 + UNHEARD + 1, Mode.DRAIN,
    )  # fmt: skip
    mute = structs.replace(past, report=None)
    (write,) = plan(pool(mute), want(0), NOW).actions
    assert isinstance(write, WriteIntent)
    assert write.after.drain_epoch == UNHEARD + 1, "nothing was heard: it may have obeyed some"
