"""The drain protocol, the controller's end: which intent follows, and when a runner may end.

Stored for a runner is only its `Intent` (epoch, mode, reason, since, deadline), changed by
compare-and-swap; the runner keeps the epoch it obeys and the jobs it holds
(`paddock.protocol.barrier`). Every stage in between is derived, so a restarted operator knows as
much as the one before it:

    STARTING -> SERVING <----------------- serve(e+1) --------------------+
                   | drain(e+1)                                           |
                   v            report(e, n > 0)            report(e, 0)  |
               CORDONING ---------> DRAINING ---------> DRAINED ----------+
                   |                                       | commit, only at intent e
                   +---- deadline passed: commit ----------+----> TERMINATING -> GONE

The rules of this end:

* W1, write ahead: a command is sent only after its intent was written (`may_tell`), every write
  is a compare-and-swap (`write_holds`) and raises the epoch (`next_intent`).
* W2, commit: a runner ends only under the very intent of the drain for which it reported that it
  holds nothing (`may_commit`), checked against what is stored then (`commit_holds`).
* W3, exceptions: never placed, already over, or the deadline has passed.

Why no call is cut by a W2 commit at epoch e: when the report was made the runner held nothing and
was draining. It can hold something again only after obeying a serve command of a larger epoch (R1,
R2). That command exists only after its intent was written (W1), and had it been written, the stored
intent would no longer be e and the commit would have failed. Once the commit succeeded nothing more
can be written. The argument needs neither clocks nor message order, nor that there is only one
operator, nor an honest orchestrator; it does need every function here as it is, which is why they
are handed around as `DrainRules` and each is also tried wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from paddock.protocol.words import Mode
from paddock_operator.plan.actions import Commit, WriteIntent
from paddock_operator.plan.view import (
    DRAIN,
    FAILED,
    READY,
    SERVE,
    TERMINATING,
    DrainReason,
    Intent,
    PlanSettings,
    RunnerView,
)

DEADLINE_SLACK_S = 5.0
"""A deadline is written by one clock and read by another; they may differ by this much."""

SETTLE_S = 5.0
"""How long after its drain a runner that cannot report must have been seen idle: an assignment
sent before the orchestrator heard of the drain is answered within 2 s or tried elsewhere."""

UNHEARD = 16
"""How many intents may have been written, and obeyed, of which no report was heard yet. An epoch
that two intents had would be obeyed as the first of them and taken for the second."""

_FOR_DEMAND = (DrainReason.SCALE_DOWN, DrainReason.ROLLOUT)
"""Drains that other demand may call off."""


class DrainStage(StrEnum):
    STARTING = "starting"
    SERVING = "serving"
    CORDONING = "cordoning"
    """Told to drain; has not answered this epoch."""
    DRAINING = "draining"
    """Takes nothing new; sessions are left."""
    DRAINED = "drained"
    """Takes nothing new and holds nothing; may still be taken back until the commit."""
    TERMINATING = "terminating"
    GONE = "gone"


def next_intent(
    intent: Intent, mode: Mode, reason: DrainReason | None, now: float, timeout_s: float
) -> Intent:
    """The intent to write over `intent`: one epoch on; a drain gets an absolute deadline."""
    if mode is SERVE:
        return Intent(drain_epoch=intent.drain_epoch + 1)
    return Intent(
        drain_epoch=intent.drain_epoch + 1,
        mode=mode,
        reason=reason,
        since=now,
        deadline=now + timeout_s,
    )


def last_known(runner: RunnerView) -> Intent:
    """What the next intent follows: the stored one, or a later one that is stored no more.

    A runner obeys no epoch below its own. If its intent was lost, by hand or with an object that
    was restored, what it reports says how far it is, and `UNHEARD` how much further it may be.
    """
    intent, report = runner.intent, runner.report
    reached = max(0, intent.drain_epoch, 0 if report is None else report.drain_epoch)
    return intent if reached == intent.drain_epoch else Intent(drain_epoch=reached + UNHEARD)


def has_lost_intent(runner: RunnerView) -> bool:
    """It lives, and obeys an intent later than the one that is stored."""
    if runner.report is None or runner.phase is FAILED or runner.phase is TERMINATING:
        return False
    return runner.report.drain_epoch > runner.intent.drain_epoch


def write_holds(stored: Intent, write: WriteIntent) -> bool:
    """W1: a write goes through only over exactly the intent it was decided on."""
    return stored == write.before


def commit_holds(stored: Intent, commit: Commit) -> bool:
    """W2: a commit goes through only at exactly the intent whose report it rests on."""
    return stored == commit.intent


def may_tell(written: Intent, command: Intent) -> bool:
    """W1: only what is written is sent. A command sent ahead of its write may outlive the write's
    failure, and another operator would end the runner that obeyed it."""
    return written == command


def has_answered(runner: RunnerView) -> bool:
    """It reported at the epoch of its intent (or beyond: then this view is the older one)."""
    return runner.report is not None and runner.report.drain_epoch >= runner.intent.drain_epoch


def reports_empty(runner: RunnerView) -> bool:
    """Its own word at exactly this drain: nothing new is taken and nothing is held.

    The epoch must be equal. An empty report of the drain before says nothing about the calls
    taken since.
    """
    report, intent = runner.report, runner.intent
    return (
        report is not None
        and intent.mode is DRAIN
        and report.drain_epoch == intent.drain_epoch
        and report.booked == 0
    )


def drain_stage(runner: RunnerView) -> DrainStage:
    """Where the runner stands, from what is stored and reported alone."""
    if runner.phase is FAILED:
        return DrainStage.GONE
    if runner.phase is TERMINATING:
        return DrainStage.TERMINATING
    if runner.intent.mode is SERVE:
        return DrainStage.SERVING if runner.phase is READY else DrainStage.STARTING
    if reports_empty(runner):
        return DrainStage.DRAINED
    report = runner.report
    if report is not None and report.drain_epoch == runner.intent.drain_epoch:
        return DrainStage.DRAINING
    return DrainStage.CORDONING


def needs_telling(runner: RunnerView) -> bool:
    """The command of its intent should be sent again: nothing shows that it was obeyed."""
    if runner.phase is FAILED or runner.phase is TERMINATING:
        return False
    return runner.can_drain and runner.intent.drain_epoch > 0 and not has_answered(runner)


def may_commit(
    runner: RunnerView, now: float, settings: PlanSettings, fresh: bool
) -> Commit | None:
    """The commit that may end this runner now, or None. Under Keep the deadline ends nobody.

    A runner that cannot report (`can_drain` False) is ended on fresh statistics that show it idle
    well after its drain was written. That is weaker than a report: a call that slips in is left
    to the second wall, a SIGTERM that lets it finish within the grace period.
    """
    intent = runner.intent
    if intent.mode is not DRAIN or runner.phase is TERMINATING:
        return None
    if reports_empty(runner) or (not runner.can_drain and fresh and _seen_idle(runner, now)):
        return Commit(runner.runner_id, intent, "done")
    if is_overdue(intent, now) and settings.on_timeout == "Terminate":
        return Commit(runner.runner_id, intent, "timeout", cut=_held(runner))
    return None


def is_overdue(intent: Intent, now: float) -> bool:
    """W3: the deadline is past by any clock that wrote it."""
    return intent.deadline is not None and now >= intent.deadline + DEADLINE_SLACK_S


def may_undrain(runner: RunnerView, now: float, settings: PlanSettings, saturated: bool) -> bool:
    """Whether the drain may be called off.

    Not when something other than demand asked for it (a node that leaves, a broken runner, a
    deleted pool), nor so near the deadline that sessions were already asked to wrap up. A runner
    of another revision comes back only when the pool has no slot left without it.
    """
    intent = runner.intent
    if not settings.undrain or intent.mode is not DRAIN or runner.phase is not READY:
        return False
    if runner.cordoned or intent.reason not in _FOR_DEMAND:
        return False
    if intent.deadline is not None and intent.deadline - now <= settings.warn_before_s:
        return False
    if runner.revision == settings.revision or settings.rollout == "Paused":
        return True
    return settings.undrain_old_revision and saturated


def _seen_idle(runner: RunnerView, now: float) -> bool:
    since = runner.intent.since
    return runner.booked == 0 and since is not None and now >= since + SETTLE_S


def _held(runner: RunnerView) -> int:
    if runner.booked is not None:
        return runner.booked
    return runner.report.booked if runner.report is not None else 0


@dataclass(frozen=True, slots=True)
class DrainRules:
    """The rules of this end, as the planner and the model checker are given them."""

    next_intent: Callable[[Intent, Mode, DrainReason | None, float, float], Intent] = next_intent
    write_holds: Callable[[Intent, WriteIntent], bool] = write_holds
    may_tell: Callable[[Intent, Intent], bool] = may_tell
    needs_telling: Callable[[RunnerView], bool] = needs_telling
    may_commit: Callable[[RunnerView, float, PlanSettings, bool], Commit | None] = may_commit
    commit_holds: Callable[[Intent, Commit], bool] = commit_holds
    may_undrain: Callable[[RunnerView, float, PlanSettings, bool], bool] = may_undrain


RULES = DrainRules()
