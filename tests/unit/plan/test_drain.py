"""The controller's drain rules, one by one."""

from dataclasses import replace

import pytest

from fakes.pools import NOW, SETTINGS, TIMEOUT_S, draining, pending, runner, starting
from paddock.protocol.words import Mode
from paddock_operator.plan.actions import Commit, WriteIntent
from paddock_operator.plan.drain import (
    DEADLINE_SLACK_S,
    SETTLE_S,
    DrainStage,
    commit_holds,
    drain_stage,
    may_commit,
    may_tell,
    may_undrain,
    needs_telling,
    next_intent,
    write_holds,
)
from paddock_operator.plan.view import BarrierReport, DrainReason, Intent, Phase, RunnerView

EXPIRED = NOW - TIMEOUT_S - DEADLINE_SLACK_S
SERVE_2 = Intent(drain_epoch=2)


def test_every_intent_raises_the_epoch_and_a_drain_has_an_absolute_deadline() -> None:
    drain = next_intent(Intent(4), Mode.DRAIN, DrainReason.ROLLOUT, NOW, 60.0)
    assert Intent(5, Mode.DRAIN, DrainReason.ROLLOUT, NOW, NOW + 60.0) == drain
    assert Intent(6) == next_intent(drain, Mode.SERVE, None, NOW, 60.0)


def test_writes_and_commits_hold_only_over_what_they_rest_on() -> None:
    drain = Intent(1, Mode.DRAIN)
    assert write_holds(Intent(), WriteIntent("r", Intent(), drain))
    assert not write_holds(SERVE_2, WriteIntent("r", Intent(), drain))
    assert commit_holds(drain, Commit("r", drain, "done"))
    assert not commit_holds(SERVE_2, Commit("r", drain, "done"))


def test_only_what_is_written_is_told() -> None:
    assert may_tell(SERVE_2, SERVE_2)
    assert not may_tell(Intent(1, Mode.DRAIN), SERVE_2)


@pytest.mark.parametrize(
    ("stage", "seen"),
    [
        (DrainStage.STARTING, pending("r")),
        (DrainStage.STARTING, starting("r")),
        (DrainStage.SERVING, runner("r")),
        (DrainStage.CORDONING, draining("r")),
        (DrainStage.CORDONING, draining("r", epoch=3, report=BarrierReport(1, 0))),
        (DrainStage.DRAINING, draining("r", reported=2)),
        (DrainStage.DRAINED, draining("r", reported=0)),
        (DrainStage.TERMINATING, draining("r", reported=0, phase=Phase.TERMINATING)),
        (DrainStage.GONE, runner("r", phase=Phase.FAILED)),
    ],
)
def test_the_stage_follows_from_intent_and_report(stage: DrainStage, seen: RunnerView) -> None:
    assert stage == drain_stage(seen)


@pytest.mark.parametrize(
    ("repeat", "seen"),
    [
        (False, runner("never told")),
        (True, draining("unanswered")),
        (True, draining("answered the drain before", epoch=3, report=BarrierReport(1, 0))),
        (False, draining("answered", reported=2)),
        (False, draining("answered a later one", report=BarrierReport(2, 0))),
        (True, runner("un-drain unanswered", intent=SERVE_2, report=BarrierReport(1, 0))),
        (False, runner("un-drained", intent=SERVE_2, report=BarrierReport(2, 0))),
        (False, draining("cannot obey", can_drain=False)),
        (False, draining("leaving", phase=Phase.TERMINATING)),
    ],
)
def test_a_command_is_repeated_until_its_epoch_is_answered(repeat: bool, seen: RunnerView) -> None:
    assert repeat is needs_telling(seen)


@pytest.mark.parametrize(
    "seen",
    [
        runner("serves", report=BarrierReport(0, 0)),
        runner("serves again", intent=SERVE_2, report=BarrierReport(2, 0)),
        draining("has not answered", 0),
        draining("holds one", 0, reported=1),
        draining("empty at the drain before", 0, epoch=3, report=BarrierReport(1, 0)),
        draining("empty at a later one", 0, report=BarrierReport(3, 0)),
        draining("already told to go", reported=0, phase=Phase.TERMINATING),
        draining("deadline not over by every clock", since=EXPIRED + 0.1),
        draining("cannot report, just cordoned", 0, can_drain=False, since=NOW),
        draining("cannot report, busy", 1, can_drain=False),
        draining("cannot report, unknown", None, can_drain=False),
    ],
    ids=lambda seen: seen.runner_id,
)
def test_a_runner_is_not_ended(seen: RunnerView) -> None:
    assert may_commit(seen, NOW, SETTINGS, True) is None


def test_a_runner_ends_on_its_own_word() -> None:
    """Whatever statistics say, and also when there are none."""
    seen = draining("r", None, reported=0)
    assert Commit("r", seen.intent, "done") == may_commit(seen, NOW, SETTINGS, False)


def test_a_runner_that_cannot_report_ends_when_seen_idle_after_its_drain_settled() -> None:
    seen = draining("r", 0, can_drain=False, since=NOW - SETTLE_S)
    assert Commit("r", seen.intent, "done") == may_commit(seen, NOW, SETTINGS, True)
    assert may_commit(seen, NOW, SETTINGS, False) is None


@pytest.mark.parametrize(("booked", "reported", "cut"), [(2, 3, 2), (None, 3, 3), (None, None, 0)])
def test_past_the_deadline_a_runner_ends_and_its_calls_are_counted(
    booked: int | None, reported: int | None, cut: int
) -> None:
    seen = draining("r", booked, since=EXPIRED, reported=reported)
    assert Commit("r", seen.intent, "timeout", cut) == may_commit(seen, NOW, SETTINGS, False)


def test_keep_never_cuts() -> None:
    keep = replace(SETTINGS, on_timeout="Keep")
    assert may_commit(draining("r", since=EXPIRED), NOW, keep, True) is None


@pytest.mark.parametrize(
    ("allowed", "seen"),
    [
        (True, draining("for demand")),
        (True, draining("drained", 0, reported=0)),
        (True, draining("rolled back", reason=DrainReason.ROLLOUT)),
        (False, runner("serves")),
        (False, draining("broken", reason=DrainReason.BROKEN)),
        (False, draining("node leaves", reason=DrainReason.NODE_CORDON)),
        (False, draining("node leaves meanwhile", cordoned=True)),
        (False, draining("pool deleted", reason=DrainReason.POOL_DELETED)),
        (False, draining("near the deadline", since=NOW - TIMEOUT_S + 60.0)),
        (False, draining("told to go", phase=Phase.TERMINATING)),
        (False, draining("old", revision="old")),
    ],
    ids=lambda value: value.runner_id if isinstance(value, RunnerView) else str(value),
)
def test_which_drains_may_be_called_off(allowed: bool, seen: RunnerView) -> None:
    assert allowed is may_undrain(seen, NOW, SETTINGS, False)


def test_an_old_revision_comes_back_only_when_the_pool_is_full_and_allows_it() -> None:
    old = draining("r", revision="old", reason=DrainReason.ROLLOUT)
    assert may_undrain(old, NOW, SETTINGS, True)
    assert not may_undrain(old, NOW, replace(SETTINGS, undrain_old_revision=False), True)
    assert not may_undrain(old, NOW, replace(SETTINGS, undrain=False), True)
