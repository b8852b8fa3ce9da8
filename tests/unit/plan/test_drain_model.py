"""The drain protocol keeps its promise in every reachable state, and each of its rules is needed.

`PADDOCK_MODEL_EPOCHS` and `PADDOCK_MODEL_SESSIONS` widen the bounds.
"""

import os
from dataclasses import replace

import pytest

from fakes.drain_model import Model, RunnerRules, check
from paddock.protocol.barrier import Barrier, Report
from paddock.protocol.words import Mode, Refusal
from paddock_operator.plan.actions import Commit
from paddock_operator.plan.drain import DrainRules, may_commit
from paddock_operator.plan.view import BarrierReport, Intent, PlanSettings, RunnerView

EPOCHS = int(os.environ.get("PADDOCK_MODEL_EPOCHS", "4"))
SESSIONS = int(os.environ.get("PADDOCK_MODEL_SESSIONS", "2"))


def commit_without_epoch(
    runner: RunnerView, now: float, settings: PlanSettings, fresh: bool
) -> Commit | None:
    """An empty report counts whichever drain it answers."""
    report = runner.report
    if report is not None and report.booked == 0:
        runner = replace(runner, report=BarrierReport(runner.intent.drain_epoch, 0))
    return may_commit(runner, now, settings, fresh)


def commit_when_absent(
    runner: RunnerView, now: float, settings: PlanSettings, fresh: bool
) -> Commit | None:
    """Whoever is not in the registry is taken for idle."""
    return None if runner.booked is not None else Commit(runner.runner_id, runner.intent, "done")


def commit_on_idle_statistics(
    runner: RunnerView, now: float, settings: PlanSettings, fresh: bool
) -> Commit | None:
    """Whoever was last seen idle is ended, without asking it to stop first."""
    return Commit(runner.runner_id, runner.intent, "done") if runner.booked == 0 else None


def undrain_ahead(written: Intent, command: Intent) -> bool:
    """A drain is called off first, and the write follows."""
    return command.mode is Mode.SERVE or written == command


def obey_anything(barrier: Barrier, epoch: int, mode: Mode) -> Report | None:
    """A command delivered again is obeyed again, however old."""
    barrier.__init__(epoch, mode, barrier.booked)  # type: ignore[misc]
    return barrier.report()


def book_later(barrier: Barrier, job_id: str) -> Refusal | None:
    """The mode is checked, but the job is not yet held when "accepted" is answered."""
    return None if barrier.mode is Mode.SERVE else Refusal.DRAINING


def book_while_draining(barrier: Barrier, job_id: str) -> Refusal | None:
    serving = Barrier(barrier.drain_epoch, Mode.SERVE, barrier.booked)
    refusal = serving.book(job_id)
    barrier.__init__(barrier.drain_epoch, barrier.mode, serving.booked)  # type: ignore[misc]
    return refusal


def report_active(barrier: Barrier, active: int) -> Report:
    """A call that is still being dialled is not counted."""
    return Report(barrier.drain_epoch, barrier.mode, active)


def forget_barrier(epoch: int, mode: Mode) -> Barrier:
    return Barrier()


MODEL = Model(epochs=EPOCHS, sessions=SESSIONS)
WRONG = {
    "commit without a check of the stored intent": replace(
        MODEL, drain=DrainRules(commit_holds=lambda stored, commit: True)
    ),
    "un-drain told before it is written": replace(MODEL, drain=DrainRules(may_tell=undrain_ahead)),
    "write over an intent that was not read": replace(
        MODEL, drain=DrainRules(write_holds=lambda stored, write: True)
    ),
    "report without an epoch": replace(MODEL, drain=DrainRules(may_commit=commit_without_epoch)),
    "old commands obeyed again": replace(MODEL, runner=RunnerRules(obey=obey_anything)),
    "only active calls reported": replace(MODEL, runner=RunnerRules(report=report_active)),
    "accepted before booked": replace(MODEL, runner=RunnerRules(book=book_later)),
    "accepted while draining": replace(MODEL, runner=RunnerRules(book=book_while_draining)),
    "barrier forgotten in a restart": replace(MODEL, runner=RunnerRules(restarted=forget_barrier)),
    "absent from the registry means idle": replace(
        MODEL, statistics=True, drain=DrainRules(may_commit=commit_when_absent)
    ),
    "ended on idle statistics": replace(
        MODEL, statistics=True, drain=DrainRules(may_commit=commit_on_idle_statistics)
    ),
}


@pytest.mark.parametrize(
    "model",
    [MODEL, replace(MODEL, epochs=2, statistics=True)],
    ids=["at the bounds", "with statistics that may lie"],
)
def test_no_call_is_cut_by_a_commit(model: Model) -> None:
    """And not because nothing happens: removal, un-drain and calls after it are all reached."""
    verdict = check(model)
    print(f"{verdict.states} states")
    assert verdict.holds, verdict.trace
    assert verdict.reached >= {
        "ended for good",
        "wrote serve",
        "obeyed serve",
        "obeyed drain",
        "accepted in serve",
        "evicted",
        "restarted",
    }
    assert "accepted in drain" not in verdict.reached


@pytest.mark.parametrize("wrong", WRONG)
def test_each_rule_is_needed(wrong: str) -> None:
    verdict = check(WRONG[wrong])
    print(f"{wrong}: violated in {len(verdict.trace)} steps, {verdict.states} states")
    print("  " + " -> ".join(verdict.trace))
    assert not verdict.holds
