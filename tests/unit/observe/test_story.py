"""What is told of a pool, and that it is told once."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from fakes.pools import NOW, draining, runner, starting
from paddock_operator.observe.facts import (
    ConnectionProblem,
    PoolFacts,
    TemplateProblem,
)
from paddock_operator.observe.scene import Scene
from paddock_operator.observe.story import (
    AGAIN_AFTER_S,
    LONGEST_MESSAGE,
    MOST_AT_ONCE,
    Storyteller,
    Told,
    story,
)
from paddock_operator.plan.view import DrainReason, Intent, Phase, PoolView
from paddock_operator.reconcile.backend import Observed
from unit.observe.scenes import manifest, pass_over, scene
from unit.plan.drawn import pools

MANIFEST = manifest()


def reasons(before: Scene | None, after: Scene) -> list[str]:
    return [told.reason for told in story(before, after, MANIFEST)]


def only(before: Scene | None, after: Scene) -> Told:
    told = story(before, after, MANIFEST)
    assert len(told) == 1, told
    return told[0]


def test_nothing_is_told_of_a_pool_that_stays_as_it_is() -> None:
    assert reasons(scene(runner("a")), scene(runner("a", 2))) == []


def test_a_first_pass_tells_of_no_change() -> None:
    assert reasons(None, scene(runner("a"), target=3)) == []


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [(1, 2, "ScaledUp"), (3, 2, "ScaledDown"), (1, 0, "FellAsleep"), (0, 2, "WokeUp")],
)
def test_a_change_of_size_is_told_with_the_sentence(old: int, new: int, reason: str) -> None:
    told = only(scene(runner("a"), target=old), scene(runner("a"), target=new))
    assert told.reason == reason
    assert told.type == "Normal"
    assert told.message.startswith(f"From {old} to {new}")
    assert "as the test says" in told.message


def test_a_pool_that_begins_is_told_and_one_that_was_only_found_is_not() -> None:
    (told,) = story(None, scene(target=2), MANIFEST)
    assert told.reason == "ScaledUp"
    assert told.message.startswith("From 0 to 2. ")
    assert story(None, scene(runner("a"), target=1), MANIFEST) == ()


def test_a_fixed_size_of_none_is_no_sleep() -> None:
    told = story(scene(target=1), scene(target=0), manifest(spec__replicas=0))
    assert [one.reason for one in told] == ["ScaledDown"]


def test_runners_that_drained_are_told_together() -> None:
    empty = [draining(f"d{n}", 0, reported=0) for n in range(3)]
    before = scene(runner("a"), *empty, target=1)
    after = scene(
        runner("a"), *(structs.replace(d, phase=Phase.TERMINATING) for d in empty), target=1
    )
    told = only(before, after)
    assert (told.reason, told.type) == ("Drained", "Normal")
    assert told.message == "3 runners drained and ended (ScaleDown 3)."


def test_a_drain_that_was_called_off_is_told() -> None:
    before = scene(runner("a"), draining("d"), target=2)
    after = scene(runner("a"), runner("d", 1, intent=Intent(2)), target=2)
    assert only(before, after).reason == "UnDrained"


def test_a_deadline_that_cut_sessions_is_a_warning() -> None:
    before = scene(draining("d", 2, since=NOW - 4000.0))
    told = only(before, scene())
    assert (told.reason, told.type) == ("DrainDeadline", "Warning")
    assert "1 runner ended at the drain's deadline with 2 sessions" in told.message


def test_a_cordoned_node_is_named() -> None:
    before = scene(*(runner(f"r{n}", node="node-1") for n in range(3)), target=3)
    after = scene(
        *(draining(f"r{n}", 1, DrainReason.NODE_CORDON, node="node-1") for n in range(3)),
        runner("x"), target=3,
    )  # fmt: skip
    told = only(before, after)
    assert told.reason == "NodeCordoned"
    assert told.message == "3 runners drain; cordoned: node-1."


def test_a_roll_out_is_told_from_beginning_to_end() -> None:
    old = scene(runner("a", revision="old"), revision="old")
    begun = scene(runner("a", revision="old"))
    assert only(old, begun).reason == "RolloutStarted"
    assert reasons(begun, begun) == []
    assert reasons(begun, scene(runner("b"), draining("a", revision="old"))) == []
    assert "RolloutComplete" in reasons(begun, scene(runner("b")))


def test_a_stalled_roll_out_is_told_when_it_stalls() -> None:
    facts = PoolFacts(rollout_progress_at=NOW - 500.0)
    moving = scene(runner("a", revision="old"), facts=facts)
    stuck = replace(moving, at=NOW + 500.0)
    assert only(moving, stuck).reason == "RolloutStalled"
    assert reasons(stuck, replace(stuck, at=NOW + 501.0)) == []


def test_failures_are_told_together_with_the_usual_line() -> None:
    dead = [
        Observed(f"r{n}", "new", Phase.FAILED, NOW, failure="exit code 1" if n else "killed")
        for n in range(3)
    ]
    before = scene(*(runner(f"r{n}", 2) for n in range(3)), target=3)
    after = scene(*(runner(f"r{n}", phase=Phase.FAILED) for n in range(0)), failed=dead, target=3)
    told = only(before, after)
    assert (told.reason, told.type) == ("RunnerFailed", "Warning")
    assert told.message == "3 runners failed with 6 sessions: exit code 1."


def test_a_failure_is_told_once_and_one_that_was_asked_for_never() -> None:
    failed = runner("a", phase=Phase.FAILED)
    assert reasons(scene(failed), scene(failed)) == []
    asked = Observed("a", "new", Phase.FAILED, NOW, asked=True)
    assert reasons(scene(runner("a"), target=1), scene(failed=[asked], target=1)) == []


def test_a_runner_that_disappeared_is_told() -> None:
    told = only(scene(runner("a", 2), target=1), scene(target=1))
    assert told.message.startswith("1 runner disappeared with 2 sessions")


def test_a_start_that_we_withdrew_is_no_failure() -> None:
    before = scene(runner("a"), starting("p", Phase.PENDING), target=1)
    assert reasons(before, scene(runner("a"), target=1)) == []


def test_a_lost_orchestrator_is_told_once_and_when_it_is_back() -> None:
    good = scene(fresh=True)
    problem = PoolFacts(connection_problem=ConnectionProblem("Unauthorized", "401"))
    bad = scene(fresh=False, facts=problem)
    told = only(good, bad)
    assert (told.reason, told.type) == ("OrchestratorUnreachable", "Warning")
    assert "401" in told.message
    assert reasons(bad, bad) == []
    assert only(bad, good).reason == "OrchestratorReachable"


def test_the_silence_before_the_first_line_is_not_told() -> None:
    silent = scene(fresh=False, facts=PoolFacts(never_reported=True))
    assert reasons(None, silent) == []
    assert reasons(silent, scene(fresh=True)) == []


def test_what_is_wrong_with_a_first_pass_is_told() -> None:
    wrong = scene(
        facts=PoolFacts(
            template_problem=TemplateProblem("Invalid", "no such field"),
            capacity_claimed_less=("a", "b"),
        )
    )
    assert reasons(None, wrong) == ["TemplateRejected", "CapacityMismatch"]
    assert reasons(wrong, wrong) == []


def test_the_same_words_are_told_again_only_later() -> None:
    teller = Storyteller()
    one, two = Told("Normal", "ScaledUp", "x"), Told("Normal", "ScaledUp", "y")
    assert teller.news("p", [one, one], 0.0) == (one,)
    assert teller.news("p", [one, two], 1.0) == (two,)
    assert teller.news("q", [one], 1.0) == (one,)
    assert teller.news("p", [one], AGAIN_AFTER_S) == (one,)
    teller.forget("p")
    assert teller.news("p", [two], AGAIN_AFTER_S) == (two,)


def test_a_pool_that_does_not_stop_talking_is_held_back() -> None:
    teller = Storyteller()
    told = [
        news
        for second in range(600)
        for news in teller.news("p", [Told("Normal", "ScaledUp", str(second))], float(second))
    ]
    assert len(told) <= MOST_AT_ONCE + 600 / 5 + 1


@settings(max_examples=40, deadline=None)
@given(pools(), pools(), st.integers(0, 12))
def test_a_story_is_short_whatever_happens(before: PoolView, after: PoolView, target: int) -> None:
    """However many runners it is about: at most one event of each kind, and none too long."""
    scenes = [Scene(pass_over(view, target), PoolFacts(), NOW) for view in (before, after)]
    told = story(scenes[0], scenes[1], MANIFEST)
    kinds = [(one.reason, "disappeared" in one.message) for one in told]
    assert len(kinds) == len(set(kinds))
    for one in told:
        assert len(one.message.encode()) <= LONGEST_MESSAGE
        assert one.message.endswith((".", "as the test says", "changed", "deleted"))


def test_a_long_message_is_cut() -> None:
    wrong = PoolFacts(template_problem=TemplateProblem("Invalid", "ü" * 2000))
    told = only(None, scene(facts=wrong))
    assert len(told.message.encode()) <= LONGEST_MESSAGE
    assert told.message.endswith("…")
