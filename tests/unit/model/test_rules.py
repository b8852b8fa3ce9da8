"""One broken manifest per rule, and what may change over an object's life."""

import pytest

from paddock_operator.model.parse import check_transition, parse_manifest
from paddock_operator.model.rules import AGENT_ID_STAYS, RULES
from unit.model.manifests import SMALLEST, changed, only_problem_of, problems_of
from unit.model.samples import BAD_FIELDS, BREACHES, DOUBLE_BREACHES, EDGES, Bad


@pytest.mark.parametrize("bad", [*BREACHES, *BAD_FIELDS], ids=str)
def test_each_rule_refuses_its_breach_by_name(bad: Bad) -> None:
    problem = only_problem_of(changed(**bad.change))

    assert (problem.rule, problem.field) == (bad.rule, bad.field)


@pytest.mark.parametrize("bad", BREACHES, ids=str)
def test_each_rule_says_how_to_mend_it(bad: Bad) -> None:
    assert only_problem_of(changed(**bad.change)).fix


@pytest.mark.parametrize("bad", DOUBLE_BREACHES, ids=str)
def test_rules_hold_for_what_is_not_served_yet(bad: Bad) -> None:
    first, second = problems_of(changed(**bad.change))

    assert (first.rule, second.rule) == (bad.rule, "not-served-yet")


def test_every_rule_has_a_breach_among_these_tests() -> None:
    tried = {(bad.rule, bad.field) for bad in (*BREACHES, *DOUBLE_BREACHES)}

    assert {(rule.name, rule.field) for rule in RULES} == tried


def test_every_rule_is_an_api_servers_too() -> None:
    """Without an expression are only the rules that the schema's list keys hold."""
    assert AGENT_ID_STAYS.cel
    assert [rule.name for rule in RULES if not rule.cel] == [
        "schedule-names-differ",
        "container-names-differ",
    ]


def test_a_bad_field_hides_no_breach() -> None:
    for bad in BREACHES:
        problems = problems_of(changed(**bad.change, spec__paused="Sometimes"))
        assert {problem.field for problem in problems} == {"spec.paused", bad.field}


@pytest.mark.parametrize("change", EDGES)
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
