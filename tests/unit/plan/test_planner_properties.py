"""What every plan keeps, for pools in any state. `PADDOCK_EXAMPLES` asks for more of them."""

import os
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.pool_model import apply
from fakes.pools import NOW, want
from paddock.protocol.words import Mode
from paddock_operator.plan.actions import CancelStart, Commit, Create, Tell, WriteIntent
from paddock_operator.plan.drain import DEADLINE_SLACK_S, SETTLE_S, may_undrain
from paddock_operator.plan.planner import plan
from paddock_operator.plan.victims import free_slots
from paddock_operator.plan.view import (
    BarrierReport,
    DrainReason,
    Phase,
    PoolView,
    RunnerView,
)
from unit.plan.drawn import pools

EXAMPLES = int(os.environ.get("PADDOCK_EXAMPLES", "60"))
targets = st.integers(0, 14)


def costing(view: PoolView) -> int:
    """Runners that cost money: all but those that are over, or ending and empty."""
    return sum(
        runner.phase is not Phase.FAILED
        and not (runner.phase is Phase.TERMINATING and ends_empty(runner))
        for runner in view.runners
    )


def ends_empty(runner: RunnerView) -> bool:
    told_so = (
        runner.intent.mode is Mode.DRAIN
        and runner.report is not None
        and runner.report == BarrierReport(runner.intent.drain_epoch, 0)
    )
    return told_so or runner.booked == 0


def serving(view: PoolView) -> list[RunnerView]:
    return [
        runner
        for runner in view.runners
        if runner.phase is Phase.READY
        and runner.intent.mode is Mode.SERVE
        and runner.booked is not None
    ]


@settings(max_examples=4 * EXAMPLES, deadline=None)
@given(pools(), targets)
def test_planning_again_after_applying_only_repeats_commands(view: PoolView, target: int) -> None:
    first = plan(view, want(target), NOW)
    again = plan(apply(view, first, NOW), want(target), NOW)
    assert [action for action in again.actions if not isinstance(action, Tell)] == []


@settings(max_examples=EXAMPLES, deadline=None)
@given(pools(), targets)
def test_a_plan_never_goes_beyond_the_maximum(view: PoolView, target: int) -> None:
    """Beyond the maximum and, while something is replaced, the surge; what is there already may
    be more, and then nothing is added."""
    after = apply(view, plan(view, want(target), NOW), NOW)
    old = any(runner.revision != "new" for runner in view.runners)
    limit = view.settings.max_runners + (view.settings.max_surge if old else 0)
    assert costing(after) <= max(limit, costing(view))


@settings(max_examples=EXAMPLES, deadline=None)
@given(pools(), targets)
def test_a_runner_leaves_for_lack_of_demand_only_with_consent(view: PoolView, target: int) -> None:
    by_id = {runner.runner_id: runner for runner in view.runners}
    for action in plan(view, want(target), NOW).actions:
        if isinstance(action, WriteIntent) and action.after.reason is DrainReason.SCALE_DOWN:
            runner = by_id[action.runner_id]
            assert view.fresh
            assert view.queued == 0
            assert view.settings.paused in ("None", "ScaleUp")
            assert runner.booked is not None
            assert runner.booked == 0 or (runner.can_drain and not view.settings.idle_only)
        if isinstance(action, WriteIntent) and action.after.reason is DrainReason.ROLLOUT:
            assert by_id[action.runner_id].booked is not None
            assert view.fresh


@settings(max_examples=EXAMPLES, deadline=None)
@given(pools(), targets)
def test_stale_statistics_take_nothing_away(view: PoolView, target: int) -> None:
    """Not by a drain for demand and not by withdrawing a start of the present revision."""
    view = replace(view, fresh=False, deleting=False)
    for action in plan(view, want(target), NOW).actions:
        if isinstance(action, WriteIntent) and action.after.mode is Mode.DRAIN:
            assert action.after.reason is DrainReason.NODE_CORDON
        if isinstance(action, CancelStart):
            runner = next(r for r in view.runners if r.runner_id == action.runner_id)
            assert runner.revision != "new" or runner.intent.mode is Mode.DRAIN


@settings(max_examples=EXAMPLES, deadline=None)
@given(pools(), targets)
def test_voluntary_drains_leave_the_warm_reserve_covered(view: PoolView, target: int) -> None:
    view = replace(view, deleting=False)
    after_plan = plan(view, want(target), NOW)
    voluntary = (DrainReason.SCALE_DOWN, DrainReason.ROLLOUT)
    drains = [
        action
        for action in after_plan.actions
        if isinstance(action, WriteIntent) and action.after.reason in voluntary
    ]
    if any(drain.before.mode is Mode.SERVE for drain in drains):
        left = serving(apply(view, after_plan, NOW))
        if target > 0:
            assert sum(map(free_slots, left)) >= view.settings.warm_sessions
        assert len(left) >= min(target, view.settings.max_runners)


@settings(max_examples=EXAMPLES, deadline=None)
@given(pools(), targets)
def test_a_runner_ends_only_on_its_word_or_past_its_deadline(view: PoolView, target: int) -> None:
    by_id = {runner.runner_id: runner for runner in view.runners}
    for action in plan(view, want(target), NOW).actions:
        if not isinstance(action, Commit):
            continue
        runner = by_id[action.runner_id]
        intent = runner.intent
        assert intent == action.intent
        assert intent.mode is Mode.DRAIN
        assert intent.since is not None
        assert intent.deadline is not None
        if action.outcome == "timeout":
            assert view.settings.on_timeout == "Terminate"
            assert intent.deadline + DEADLINE_SLACK_S <= NOW
        elif runner.report != BarrierReport(intent.drain_epoch, 0):
            assert not runner.can_drain
            assert view.fresh
            assert runner.booked == 0
            assert intent.since + SETTLE_S <= NOW


@settings(max_examples=EXAMPLES, deadline=None)
@given(pools(), targets)
def test_nothing_is_created_for_demand_that_a_draining_runner_could_take(
    view: PoolView, target: int
) -> None:
    """Where runners of the present revision are all there is, a creation means that no drain
    that could be called off is left."""
    view = replace(
        view, runners=tuple(r for r in view.runners if r.revision == "new"), deleting=False
    )
    made = plan(view, want(target), NOW)
    if any(isinstance(action, Create) for action in made.actions):
        assert not any(
            free_slots(runner) > 0 and may_undrain(runner, NOW, view.settings, True)
            for runner in apply(view, made, NOW).runners
            if runner.phase is Phase.READY
        )


@settings(max_examples=EXAMPLES, deadline=None)
@given(pools(), targets)
def test_a_deleted_pool_creates_nothing_and_spares_nobody(view: PoolView, target: int) -> None:
    view = replace(view, deleting=True)
    made = plan(view, want(target), NOW)
    assert not any(isinstance(action, Create) for action in made.actions)
    for runner in apply(view, made, NOW).runners:
        assert runner.phase is Phase.TERMINATING or runner.intent.mode is Mode.DRAIN


@settings(max_examples=EXAMPLES, deadline=None)
@given(pools(), targets)
def test_the_plan_names_a_future_instant_and_says_one_sentence(view: PoolView, target: int) -> None:
    made = plan(view, want(target), NOW)
    assert made.next_at is None or made.next_at > NOW
    assert "\n" not in made.reason
    assert made.reason[0].isupper()
