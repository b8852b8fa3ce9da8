"""The status of a pool: every number and every condition, from a pass."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from fakes.pools import NOW, draining, pending, runner, starting
from paddock.protocol.words import Mode
from paddock_operator.model.conditions import (
    POOL_CONDITIONS,
    Condition,
    ConditionType,
    Reason,
    State,
)
from paddock_operator.model.status import MOST_DRAINS, PoolStatus, status_json
from paddock_operator.observe.facts import (
    ConnectionProblem,
    PodTroubles,
    PoolFacts,
    TemplateProblem,
)
from paddock_operator.observe.pool_status import (
    connection_status,
    invalid_status_json,
    pool_status,
    recommended_warm_sessions,
)
from paddock_operator.observe.scene import Scene
from paddock_operator.plan.view import DrainReason, Intent, Phase, PoolView
from paddock_operator.reconcile.passes import Pass
from unit.observe.scenes import a_pass, manifest, pass_over
from unit.plan.drawn import pools

EARLIER, LATER = NOW - 500.0, NOW + 500.0
C, T, F, U = ConditionType, State.TRUE, State.FALSE, State.UNKNOWN


def status_of(
    last: Pass,
    facts: PoolFacts | None = None,
    before: dict[str, object] | None = None,
    now: float = NOW,
    **changes: object,
) -> PoolStatus:
    scene = Scene(last, facts or PoolFacts(), now)
    return pool_status(scene, manifest(**changes), generation=7, before=before or {})


def condition_of(status: PoolStatus, kind: ConditionType) -> Condition:
    return next(each for each in status.conditions if each.type is kind)


def said_of(
    kind: ConditionType, last: Pass, facts: PoolFacts | None = None, **changes: Any
) -> tuple[State, Reason]:
    found = condition_of(status_of(last, facts, **changes), kind)
    return found.status, found.reason


def test_each_runner_is_counted_once() -> None:
    last = a_pass(
        runner("idle"), runner("busy", 3), runner("silent", None), starting("s"), pending("p"),
        draining("d", 2), runner("told", 1, phase=Phase.TERMINATING),
        runner("over", phase=Phase.FAILED),
    )  # fmt: skip
    status = status_of(last)
    assert (status.starting, status.ready, status.draining, status.unknown) == (2, 2, 2, 1)
    assert (status.replicas, status.idle) == (7, 1)
    assert (status.sessions.capacity, status.sessions.free) == (8, 5)
    assert (status.sessions.in_flight, status.sessions.draining) == (6, 3)
    assert status.selector == "paddock.dev/pool=support-en"


def test_the_drains_that_began_first_are_told() -> None:
    drains = [draining(f"d{n}", 1, since=NOW - n) for n in range(20)]
    told = status_of(a_pass(*drains)).drains
    assert len(told) == MOST_DRAINS
    assert [drain.pod for drain in told[:2]] == ["d19", "d18"]
    assert told[0].deadline == NOW - 19 + 3600.0
    assert told[0].sessions == 1


def test_a_drain_that_is_kept_has_no_deadline() -> None:
    status = status_of(a_pass(draining("d", None, reported=2), on_timeout="Keep"))
    assert status.drains[0].deadline is None
    assert status.drains[0].sessions == 2


def test_levels_are_counted_for_runners_that_are_there() -> None:
    facts = PoolFacts(levels={"a": 2, "b": 2, "gone": 3})
    assert status_of(a_pass(runner("a"), runner("b")), facts).drain_levels == {2: 2}


def test_times_are_carried_over_while_nothing_changed() -> None:
    first = status_json(status_of(a_pass(runner("a")), now=EARLIER))
    again = status_of(a_pass(runner("a")), before=first)
    assert again.scaling.last_scale_time == EARLIER
    assert {each.last_transition_time for each in again.conditions} == {EARLIER}


def test_a_change_of_status_moves_its_time_only() -> None:
    first = status_json(status_of(a_pass(runner("a")), now=EARLIER))
    again = status_of(a_pass(runner("a"), target=2), before=first)
    moved = {c.type for c in again.conditions if c.last_transition_time == NOW}
    assert moved == {C.PROGRESSING}
    assert again.scaling.last_scale_time == NOW


@pytest.mark.parametrize(
    "before",
    [
        {"conditions": "x", "scaling": 3, "revision": []},
        {"conditions": [{"type": "Available", "status": "True", "lastTransitionTime": "soon"}, 4]},
        {"desiredRunners": 1, "scaling": {"lastScaleTime": 5}},
    ],
)
def test_a_status_that_somebody_spoiled_is_as_none(before: dict[str, object]) -> None:
    last = a_pass(runner("a"))
    assert status_of(last, before=before) == status_of(last)


def test_the_old_revision_is_current_until_it_is_gone() -> None:
    last = a_pass(runner("a", revision="old"), runner("b"), rollout="Paused")
    status = status_of(last)
    assert (status.revision.current, status.revision.updated) == ("old", "new")
    assert status.revision.updated_runners == 1
    older = status_of(last, before={"revision": {"current": "older"}})
    assert older.revision.current == "older"
    assert status_of(a_pass(runner("b"))).revision.current == "new"


@pytest.mark.parametrize(
    ("last", "changes", "expected"),
    [
        (a_pass(runner("a"), min_runners=1), {}, (T, Reason.ENOUGH_RUNNERS)),
        (a_pass(target=0), {}, (T, Reason.ENOUGH_RUNNERS)),
        (a_pass(target=0, warm_sessions=2), {}, (T, Reason.ENOUGH_RUNNERS)),
        (a_pass(starting("a"), target=1, min_runners=1), {}, (F, Reason.COLD_STARTING)),
        (
            a_pass(starting("a"), target=1, min_runners=1, failures=5),
            {},
            (F, Reason.NOT_ENOUGH_RUNNERS),
        ),
        (
            a_pass(starting("a"), target=3, min_runners=3, max_starting=1),
            {},
            (F, Reason.NOT_ENOUGH_RUNNERS),
        ),
        (a_pass(starting("a"), target=1, queued=2), {}, (T, Reason.COLD_STARTING)),
        (
            a_pass(starting("a"), target=1, queued=9, max_starting=1),
            {},
            (F, Reason.COLD_STARTING),
        ),
        (a_pass(runner("a", 4), queued=1, max_runners=1), {}, (F, Reason.SATURATED)),
        (a_pass(runner("a", 4), max_runners=1), {}, (T, Reason.ENOUGH_RUNNERS)),
        (
            a_pass(runner("a", 4), max_runners=1, warm_sessions=1),
            {},
            (F, Reason.NOT_ENOUGH_RUNNERS),
        ),
        (a_pass(runner("a", None), fresh=False), {}, (U, Reason.NOT_OBSERVED)),
        (a_pass(runner("a")), {"spec__replicas": 2}, (F, Reason.COLD_STARTING)),
    ],
)
def test_available(last: Pass, changes: dict[str, Any], expected: tuple[State, Reason]) -> None:
    if "spec__replicas" in changes:
        last = a_pass(runner("a"), target=2)
    assert said_of(C.AVAILABLE, last, **changes) == expected


STUCK = PoolFacts(rollout_progress_at=NOW - 601.0)


@pytest.mark.parametrize(
    ("last", "facts", "expected"),
    [
        (a_pass(runner("a")), PoolFacts(), (F, Reason.ROLLOUT_COMPLETE)),
        (a_pass(runner("a"), target=2), PoolFacts(), (T, Reason.SCALING)),
        (a_pass(runner("a"), draining("d")), PoolFacts(), (T, Reason.SCALING)),
        (a_pass(runner("a"), paused="Everything"), PoolFacts(), (F, Reason.PAUSED)),
        (a_pass(runner("a", revision="old")), PoolFacts(), (T, Reason.ROLLING_OUT)),
        (a_pass(runner("a", revision="old"), rollout="Paused"), PoolFacts(), (F, Reason.PAUSED)),
        (a_pass(runner("a", revision="old")), STUCK, (F, Reason.DEADLINE_EXCEEDED)),
        (a_pass(draining("a")), PoolFacts(deleting=True), (T, Reason.SCALING)),
    ],
)
def test_progressing(last: Pass, facts: PoolFacts, expected: tuple[State, Reason]) -> None:
    assert said_of(C.PROGRESSING, last, facts) == expected


@pytest.mark.parametrize(
    ("changes", "by_fallback", "fresh", "expected"),
    [
        ({}, False, True, (T, Reason.FRESH_STATISTICS)),
        ({}, False, False, (F, Reason.STATS_STALE)),
        ({}, True, False, (F, Reason.FALLBACK)),
        ({"spec__paused": "Scaling"}, False, True, (F, Reason.PAUSED)),
        ({"spec__replicas": 1}, False, False, (F, Reason.MANUAL)),
    ],
)
def test_scaling_active(
    changes: dict[str, Any], by_fallback: bool, fresh: bool, expected: tuple[State, Reason]
) -> None:
    last = a_pass(fresh=fresh, by_fallback=by_fallback)
    assert said_of(C.SCALING_ACTIVE, last, **changes) == expected


@pytest.mark.parametrize(
    ("last", "facts", "expected"),
    [
        (a_pass(runner("a")), PoolFacts(), (F, Reason.NOT_LIMITED)),
        (a_pass(limited="AtMax"), PoolFacts(), (T, Reason.AT_MAX)),
        (a_pass(limited="AtMin"), PoolFacts(), (T, Reason.AT_MIN)),
        (a_pass(target=5, max_starting=2), PoolFacts(), (T, Reason.STEP_LIMITED)),
        (a_pass(target=5), PoolFacts(), (F, Reason.NOT_LIMITED)),
        (a_pass(), PoolFacts(quota_message="exceeded quota"), (T, Reason.QUOTA_EXCEEDED)),
        (
            a_pass(runner("a"), runner("b"), draining("d"), target=1, max_draining=1),
            PoolFacts(),
            (T, Reason.STEP_LIMITED),
        ),
    ],
)
def test_scaling_limited(last: Pass, facts: PoolFacts, expected: tuple[State, Reason]) -> None:
    assert said_of(C.SCALING_LIMITED, last, facts) == expected


UNREACHABLE = ConnectionProblem("Unreachable")


@pytest.mark.parametrize(
    ("facts", "fresh", "expected"),
    [
        (PoolFacts(), True, (T, Reason.CONNECTED)),
        (PoolFacts(connection_problem=UNREACHABLE), True, (T, Reason.CONNECTED)),
        (PoolFacts(), False, (F, Reason.STALE)),
        (PoolFacts(never_reported=True), False, (F, Reason.NEVER_REPORTED)),
        (PoolFacts(inconsistent=True), False, (F, Reason.INCONSISTENT)),
        (
            PoolFacts(connection_problem=UNREACHABLE, never_reported=True),
            False,
            (F, Reason.UNREACHABLE),
        ),
        (
            PoolFacts(connection_problem=ConnectionProblem("MissingSecret")),
            False,
            (F, Reason.UNAUTHORIZED),
        ),
    ],
)  # fmt: skip
def test_orchestrator_reachable(
    facts: PoolFacts, fresh: bool, expected: tuple[State, Reason]
) -> None:
    assert said_of(C.ORCHESTRATOR_REACHABLE, a_pass(fresh=fresh), facts) == expected


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (a_pass(runner("a")), (F, Reason.NONE)),
        (a_pass(draining("a")), (T, Reason.SESSIONS_LEFT)),
        (a_pass(draining("a", since=NOW - 3560.0)), (T, Reason.DEADLINE_NEAR)),
        (a_pass(draining("a", 0, since=NOW - 3560.0)), (T, Reason.SESSIONS_LEFT)),
        (
            a_pass(draining("a", since=NOW - 3560.0), on_timeout="Keep"),
            (T, Reason.SESSIONS_LEFT),
        ),
    ],
)
def test_draining(last: Pass, expected: tuple[State, Reason]) -> None:
    assert said_of(C.DRAINING, last) == expected


@pytest.mark.parametrize(
    ("facts", "failures", "reason"),
    [
        (PoolFacts(), 0, Reason.NO_FAILURES),
        (PoolFacts(), 4, Reason.NO_FAILURES),
        (PoolFacts(), 5, Reason.CRASH_LOOPING),
        (PoolFacts(pods=PodTroubles(crash_looping=1)), 0, Reason.CRASH_LOOPING),
        (PoolFacts(pods=PodTroubles(image_pull_failed=1)), 0, Reason.IMAGE_PULL_FAILED),
        (PoolFacts(pods=PodTroubles(unschedulable=1)), 0, Reason.UNSCHEDULABLE),
        (PoolFacts(quota_message="no"), 0, Reason.QUOTA_EXCEEDED),
        (PoolFacts(overlapping_pdb="web"), 0, Reason.OVERLAPPING_PDB),
        (PoolFacts(capacity_claimed_less=("a",)), 0, Reason.CAPACITY_MISMATCH),
    ],
)
def test_degraded(facts: PoolFacts, failures: int, reason: Reason) -> None:
    found = said_of(C.DEGRADED, a_pass(failures=failures), facts)
    assert found == (F if reason is Reason.NO_FAILURES else T, reason)


def test_a_message_of_somebody_else_becomes_part_of_one_sentence() -> None:
    facts = PoolFacts(pods=PodTroubles(image_pull_failed=2, image_pull_message="not\n found. "))
    message = condition_of(status_of(a_pass(), facts), C.DEGRADED).message
    assert message == (
        "2 runners cannot get the image: not found; check its name and imagePullSecrets."
    )


def test_a_rejected_template_says_what_to_do() -> None:
    facts = PoolFacts(template_problem=TemplateProblem("Forbidden", "violates PodSecurity"))
    found = condition_of(status_of(a_pass(), facts), C.TEMPLATE_ACCEPTED)
    assert (found.status, found.reason) == (F, Reason.FORBIDDEN)
    assert "violates PodSecurity" in found.message


def test_an_invalid_manifest_leaves_the_numbers_as_they_are() -> None:
    before = status_json(status_of(a_pass(runner("a")), now=EARLIER))
    written = invalid_status_json(
        "support-en", generation=8, before=before,
        problem=TemplateProblem("Invalid", "spec.paused: got 3"), now=LATER,
    )  # fmt: skip
    assert (written["replicas"], written["observedGeneration"]) == (1, 8)
    conditions = written["conditions"]
    assert isinstance(conditions, list)
    assert [c["type"] for c in conditions] == [str(kind) for kind in POOL_CONDITIONS]
    assert [c["status"] for c in conditions] == ["Unknown"] * 7 + ["False"]


@pytest.mark.parametrize("trouble", ["Unreachable", "Unauthorized", "MissingSecret", "Invalid"])
def test_a_connection_says_what_is_wrong(trouble: Any) -> None:
    ready = connection_status(None, generation=1, before={}, now=EARLIER)
    assert ready.conditions[0].status is T
    problem = ConnectionProblem(trouble, "it says no")
    lost = connection_status(problem, generation=1, before=status_json(ready), now=NOW)
    assert (lost.conditions[0].status, lost.conditions[0].reason) == (F, trouble)
    assert lost.conditions[0].last_transition_time == NOW
    assert "it says no" in lost.conditions[0].message


def test_the_recommended_reserve_covers_a_start() -> None:
    assert recommended_warm_sessions(1.0, 15.0, 0.99) == 25
    assert recommended_warm_sessions(0.0, 15.0, 0.99) == 0
    assert recommended_warm_sessions(None, 15.0, 0.99) is None
    last = replace(a_pass(), arrivals_per_s=1.0, start_p95_s=15.0)
    assert status_of(last).scaling.recommended_warm_sessions == 25


problems = st.sampled_from(["Unreachable", "Unauthorized", "MissingSecret", "Invalid"])
texts = st.sampled_from(["", "it failed. ", "a\nb"])
some_facts = st.builds(
    PoolFacts,
    connection_problem=st.none() | st.builds(ConnectionProblem, problems, texts),
    never_reported=st.booleans(),
    inconsistent=st.booleans(),
    quota_message=texts,
    forbidden=texts,
    template_problem=st.none()
    | st.builds(TemplateProblem, st.sampled_from(["Invalid", "Forbidden"]), texts),
    overlapping_pdb=st.sampled_from(["", "web"]),
    pods=st.builds(PodTroubles, st.integers(0, 1), texts, st.integers(0, 1), texts),
    capacity_claimed_less=st.sampled_from([(), ("a",), tuple("abcdef")]),
    rollout_progress_at=st.sampled_from([None, NOW - 10.0, NOW - 900.0]),
)


@settings(max_examples=60, deadline=None)
@given(pools(), st.integers(0, 14), some_facts)
def test_every_status_is_whole(view: PoolView, target: int, facts: PoolFacts) -> None:
    facts = replace(facts, deleting=view.deleting)
    last = pass_over(view, target)
    status = status_of(last, facts)
    there = sum(r.phase is not Phase.FAILED for r in view.runners)
    assert status.replicas == there
    assert status.starting + status.ready + status.draining + status.unknown == there
    assert status.idle <= status.ready
    assert status.sessions.draining <= status.sessions.in_flight
    assert {each.type for each in status.conditions} == set(POOL_CONDITIONS)
    for each in status.conditions:
        assert each.message.endswith(".")
        assert "\n" not in each.message
        assert each.message[0].isupper() or each.message[0].isdigit() or facts.capacity_claimed_less
    written = status_json(status)
    assert status_json(status_of(last, facts, before=written)) == written


def test_a_runner_ended_from_outside_still_holds_its_sessions() -> None:
    gone = runner("a", 2, phase=Phase.TERMINATING, intent=Intent(3))
    status = status_of(a_pass(gone))
    assert status.sessions.in_flight == 2
    assert status.drains == ()
    drained = structs.replace(
        gone, intent=Intent(4, Mode.DRAIN, DrainReason.BROKEN, NOW, NOW + 5.0)
    )
    assert status_of(a_pass(drained)).drains[0].reason == "Broken"
