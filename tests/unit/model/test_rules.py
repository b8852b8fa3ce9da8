"""One broken manifest per rule, and what may change over an object's life."""

import pytest

from paddock_operator.model.parse import check_transition, parse_manifest
from paddock_operator.model.rules import RULES
from unit.model.manifests import SMALLEST, changed, only_problem_of, problems_of

SCHEDULE = {"name": "day", "cron": "0 8 * * 1-5", "durationSeconds": 36000, "minRunners": 3}
STEP = {"percent": 10}

BROKEN = [
    ("name-length", "metadata.name", {"metadata__name": "a" * 49}),
    ("name-pattern", "metadata.name", {"metadata__name": "Support"}),
    ("name-pattern", "metadata.name", {"metadata__name": "support-en\n"}),
    ("agent-id-pattern", "spec.agentId", {"spec__agentId": "-x"}),
    ("agent-id-pattern", "spec.agentId", {"spec__agentId": ""}),
    ("min-within-max", "spec.scaling.minRunners", {"spec__scaling__minRunners": 11}),
    ("replicas-within-max", "spec.replicas", {"spec__replicas": 11}),
    ("sleep-needs-zero", "spec.scaling.scaleToZero", {"spec__scaling__scaleToZero": {}}),
    ("warm-reachable", "spec.scaling.warmSessions", {"spec__scaling__warmSessions": 41}),
    ("warm-share", "spec.scaling.warmSessions", {"spec__scaling__warmSessions": "100%"}),
    ("warning-before-deadline", "spec.drain.warnBeforeSeconds", {"spec__drain__timeoutSeconds": 9}),
    (
        "grace-covers-drain",
        "spec.template.spec.terminationGracePeriodSeconds",
        {"spec__template__spec__terminationGracePeriodSeconds": 3599},
    ),
    ("static-has-size", "spec.fallback.runners", {"spec__fallback__behavior": "Static"}),
    (
        "stale-before-fallback",
        "spec.fallback.staleAfterSeconds",
        {"spec__fallback__staleAfterSeconds": 61},
    ),
    ("not-served-yet", "spec.scaling.schedules", {"spec__scaling__schedules": [SCHEDULE]}),
    ("not-served-yet", "spec.rollout.type", {"spec__rollout__type": "OnIdle"}),
    ("not-served-yet", "spec.rollout.type", {"spec__rollout__type": "DrainFirst"}),
    ("not-served-yet", "spec.rollout.steps", {"spec__rollout__steps": [STEP]}),
    (
        "one-of",
        "spec.template.spec.restartPolicy",
        {"spec__template__spec__restartPolicy": "OnFailure"},
    ),
]


@pytest.mark.parametrize(("rule", "field", "change"), BROKEN)
def test_each_rule_refuses_its_breach_by_name(
    rule: str, field: str, change: dict[str, object]
) -> None:
    problem = only_problem_of(changed(**change))

    assert (problem.rule, problem.field) == (rule, field)
    assert problem.fix


def test_steps_must_increase() -> None:
    text = changed(spec__rollout__steps=[{"percent": 20}, {"percent": 20}])

    assert [problem.rule for problem in problems_of(text)] == ["steps-increase", "not-served-yet"]


def test_schedules_must_have_different_names() -> None:
    text = changed(spec__scaling__schedules=[SCHEDULE, SCHEDULE])

    assert problems_of(text)[0].rule == "schedule-names-differ"


@pytest.mark.parametrize("percent", [0, 100])
def test_a_step_is_neither_nothing_nor_all(percent: int) -> None:
    problem = only_problem_of(changed(spec__rollout__steps=[{"percent": percent}]))

    assert (problem.rule, problem.field) == ("range", "spec.rollout.steps[0].percent")


def test_every_rule_has_a_breach_among_these_tests() -> None:
    tried = {rule for rule, _, _ in BROKEN} | {"steps-increase", "schedule-names-differ"}

    assert {rule.name for rule in RULES} <= tried


@pytest.mark.parametrize(
    "change",
    [
        {"metadata__name": "a" * 48},
        {"metadata__name": "7"},
        {"spec__scaling__minRunners": 10},
        {"spec__replicas": 0},
        {"spec__scaling": {"minRunners": 0, "scaleToZero": {}}},
        {"spec__scaling__warmSessions": 40},
        {"spec__scaling__warmSessions": "99%"},
        {"spec__drain": {"timeoutSeconds": 60}},
        {"spec__template__spec__terminationGracePeriodSeconds": 3600},
        {"spec__fallback": {"behavior": "Static", "runners": 0}},
        {"spec__fallback": {"staleAfterSeconds": 60}},
        {"spec__rollout__type": "Paused"},
    ],
)
def test_the_edge_of_each_rule_is_allowed(change: dict[str, object]) -> None:
    parse_manifest(changed(**change))


def test_the_agent_id_cannot_change() -> None:
    old, new = parse_manifest(SMALLEST), parse_manifest(changed(spec__agentId="sales"))

    (problem,) = check_transition(old, new)

    assert (problem.rule, problem.field, problem.value) == (
        "agent-id-immutable",
        "spec.agentId",
        "sales",
    )


def test_writing_the_default_agent_id_out_is_no_change() -> None:
    explicit = parse_manifest(changed(spec__agentId="support-en", spec__sessionsPerRunner=9))

    assert check_transition(parse_manifest(SMALLEST), explicit) == ()
