"""The operator's own code keeps its promises in worlds where everything goes wrong.

`PADDOCK_SIMULATION_STEPS` takes more of them, `PADDOCK_SIMULATION_SEED` begins elsewhere.
"""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fakes.simulated.world import Verdict, simulate
from fakes.simulated.wrong import WRONG

STEPS = int(os.environ.get("PADDOCK_SIMULATION_STEPS", "100000"))
FIRST = int(os.environ.get("PADDOCK_SIMULATION_SEED", "1"))
OF_EACH = 2500
TRIED = 40
"""Worlds in which something wrong has to show."""
TESTS = Path(__file__).parents[1]


def _story(verdict: Verdict, wrong: str = "") -> str:
    again = f"PYTHONPATH=tests .venv/bin/python -m fakes.simulated --seed {verdict.seed}"
    broken = f" --wrong {wrong!r}" if wrong else ""
    last = "\n".join(verdict.trace[-40:])
    return f"{verdict.problem}\n{again} --steps {OF_EACH}{broken}\n{last}"


@pytest.mark.timeout(max(600, STEPS // 100))
def test_no_promise_is_broken_and_peace_comes_back() -> None:
    """And not because nothing happens: each kind of step is taken."""
    steps, seed, counts = 0, FIRST, Counter[str]()
    while steps < STEPS:
        verdict = simulate(seed, OF_EACH)
        assert verdict.holds, _story(verdict)
        steps += verdict.steps
        seed += 1
        counts.update(verdict.counts)
    print(f"{steps} steps in {seed - FIRST} worlds: {dict(sorted(counts.items()))}")
    assert all(
        counts[kind] > 10
        for kind in (
            "calls", "created", "committed", "cleaned up", "let a pool go", "wrote serve",
            "ended at the deadline", "wrote drain ScaleDown", "wrote drain Rollout",
            "wrote drain NodeCordon", "wrote drain Broken", "wrote drain PoolDeleted",
        )
    ), counts  # fmt: skip


@pytest.mark.timeout(600)
@pytest.mark.parametrize("wrong", WRONG)
def test_each_broken_rule_is_found(wrong: str) -> None:
    broken = WRONG[wrong]
    for seed in range(broken.first, broken.first + TRIED):
        with broken.at_work():
            verdict = simulate(seed, OF_EACH, theme=broken.theme, runner_link=broken.runner_link)
        if not verdict.holds:
            assert "pass_failed" not in verdict.problem, "broken in another way"
            print(f"{wrong}: world {seed}, step {verdict.steps}: {verdict.problem}")
            return
    raise AssertionError(f"{wrong!r} did not show in {TRIED} worlds")


def test_a_seed_tells_the_same_story_in_another_process() -> None:
    program = (
        "from fakes.simulated.world import simulate; v = simulate(4, 1500);"
        "print(v.steps, v.seconds, *v.trace, sep='\\n')"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True,
            env={"PYTHONPATH": str(TESTS), "PYTHONHASHSEED": number},
        ).stdout
        for number in ("1", "2")
    ]  # fmt: skip
    assert told[0] == told[1]
