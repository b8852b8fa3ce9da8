"""The drain protocol keeps its promise in every reachable state, and each of its rules is needed.

`PADDOCK_MODEL_EPOCHS` and `PADDOCK_MODEL_SESSIONS` widen the bounds.
"""

import os
from dataclasses import replace

import pytest

from fakes.drain_model import Model, RunnerRules, check
from fakes.drain_wrongs import (
    book_later,
    book_while_draining,
    commit_on_idle_statistics,
    commit_when_absent,
    commit_without_epoch,
    forget_barrier,
    obey_and_report_unstored,
    obey_anything,
    report_active,
    undrain_ahead,
)
from paddock_operator.plan.drain import DrainRules

EPOCHS = int(os.environ.get("PADDOCK_MODEL_EPOCHS", "4"))
SESSIONS = int(os.environ.get("PADDOCK_MODEL_SESSIONS", "2"))


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
    "reported before it was stored": replace(
        MODEL, full_disk=True, runner=RunnerRules(obey_unstored=obey_and_report_unstored)
    ),
    "absent from the registry means idle": replace(
        MODEL, statistics=True, drain=DrainRules(may_commit=commit_when_absent)
    ),
    "ended on idle statistics": replace(
        MODEL, statistics=True, drain=DrainRules(may_commit=commit_on_idle_statistics)
    ),
}


@pytest.mark.parametrize(
    "model",
    [
        MODEL,
        replace(MODEL, epochs=3, full_disk=True),
        replace(MODEL, epochs=2, statistics=True),
    ],
    ids=["at the bounds", "with a disk that may be full", "with statistics that may lie"],
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
    assert ("obeyed drain, not stored" in verdict.reached) == model.full_disk


@pytest.mark.parametrize("wrong", WRONG)
def test_each_rule_is_needed(wrong: str) -> None:
    verdict = check(WRONG[wrong])
    print(f"{wrong}: violated in {len(verdict.trace)} steps, {verdict.states} states")
    print("  " + " -> ".join(verdict.trace))
    assert not verdict.holds
