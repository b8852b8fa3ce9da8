"""From text to a manifest, or to everything that is wrong with it."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from paddock_operator.model.parse import ManifestError, Problem, parse_manifest, parse_object
from unit.model.manifests import CONNECTION, SMALLEST, changed, only_problem_of, problems_of


def test_yaml_and_json_mean_the_same() -> None:
    data = yaml.safe_load(SMALLEST)

    from_json = parse_manifest(json.dumps(data, indent="\t"))

    assert from_json == parse_manifest(SMALLEST) == parse_object(data)


def test_a_connection_may_stand_beside_it() -> None:
    text = f"---\n{CONNECTION}---\n{SMALLEST}---\n# nothing\n"

    assert parse_manifest(text) == parse_manifest(SMALLEST)


def test_a_connection_beside_it_must_be_valid() -> None:
    text = f"{SMALLEST}---\n{CONNECTION.replace('https', 'ftp')}"

    problems = problems_of(text)

    assert [(problem.rule, problem.line) for problem in problems] == [
        ("url-form", 11),
        ("url-secure", 11),
    ]


@pytest.mark.parametrize("text", ["", "---\n---\n", "# only words\n", CONNECTION])
def test_a_file_without_a_pool_is_refused(text: str) -> None:
    assert only_problem_of(text).rule == "one-agent-deployment"


def test_two_pools_in_one_file_are_refused() -> None:
    assert only_problem_of(f"{SMALLEST}---\n{SMALLEST}").rule == "one-agent-deployment"


def test_another_kind_is_named_with_its_line() -> None:
    problem = problems_of(f"{SMALLEST}---\nkind: Agentdeploymnt\n")[0]

    assert str(problem) == (
        "agent.yaml:8: kind = 'Agentdeploymnt': expected AgentDeployment (kind); "
        "did you mean AgentDeployment?"
    )


def test_a_document_that_is_no_object_is_refused() -> None:
    assert only_problem_of("- 1\n- 2\n").rule == "type"


def test_all_problems_are_reported_at_once() -> None:
    text = """\
apiVersion: paddock.dev/v1
kind: AgentDeployment
metadata: {name: support}
spec:
  scaling: {minRunners: 20, warmSessions: "25 %"}
  rollout: {type: OnIdle, steps: [{percent: 0}]}
  min_runners: 3
  darin: {}
  sessions:
  drain: {timeoutSeconds: "60", onTimeout: Kep}
  template: {spec: {containers: []}}
"""

    assert {(problem.field, problem.rule, problem.line) for problem in problems_of(text)} == {
        ("apiVersion", "one-of", 1),
        ("spec.sessionsPerRunner", "required", 5),
        ("spec.scaling.minRunners", "min-within-max", 5),
        ("spec.scaling.warmSessions", "int-or-percent", 5),
        ("spec.rollout.type", "not-served-yet", 6),
        ("spec.rollout.steps[0].percent", "range", 6),
        ("spec.min_runners", "unknown-field", 7),
        ("spec.darin", "unknown-field", 8),
        ("spec.sessions", "type", 9),
        ("spec.drain.timeoutSeconds", "type", 10),
        ("spec.drain.onTimeout", "one-of", 10),
        ("spec.template.spec.containers", "min-items", 11),
    }


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"spec__sesionsPerRunner": 4}, "did you mean sessionsPerRunner?"),
        ({"spec__sessions_per_runner": 4}, "did you mean sessionsPerRunner?"),
        ({"spec__scaling__MaxRunners": 4}, "did you mean maxRunners?"),
        ({"spec__minRunners": 4}, "did you mean spec.scaling.minRunners?"),
        ({"spec__drain__bogus": 4}, "known here: onTimeout, timeoutSeconds, undrain"),
        ({"spce": {}}, "did you mean spec?"),
    ],
)
def test_an_unknown_field_is_refused_with_a_hint(change: dict[str, object], hint: str) -> None:
    problem = only_problem_of(changed(**change))

    assert problem.rule == "unknown-field"
    assert problem.fix.startswith(hint)


@pytest.mark.parametrize("value", ["4", 4.0, True, [4], {"a": 4}])
def test_types_are_not_guessed(value: object) -> None:
    problem = only_problem_of(changed(spec__sessionsPerRunner=value))

    assert (problem.field, problem.value) == ("spec.sessionsPerRunner", value)


def test_a_repeated_key_is_refused_with_its_second_line() -> None:
    problem = only_problem_of(SMALLEST + "  sessionsPerRunner: 5\n")

    assert (problem.rule, problem.field, problem.line) == (
        "duplicate-key",
        "spec.sessionsPerRunner",
        7,
    )


def test_a_repeated_key_in_json_is_refused() -> None:
    assert only_problem_of('{"kind": "AgentDeployment", "kind": "x"}').rule == "duplicate-key"


def test_broken_yaml_is_located() -> None:
    problem = only_problem_of("a: [b\nc: {")

    assert problem.rule == "yaml"
    assert "line 2, column 2" in problem.message


def test_dates_are_text_as_they_are_in_json() -> None:
    text = changed(metadata__annotations={"day": "x"}).replace("day: x", "day: 2026-01-01")

    assert parse_manifest(text).metadata.annotations == {"day": "2026-01-01"}


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("x: !!binary aGk=", "yaml-tag"),
        ("x: !mine 1", "yaml-tag"),
        ("x: .nan", "yaml-tag"),
        ("1: x", "yaml-key"),
        ("[a]: x", "yaml-key"),
        ("x: !!int ''", "yaml"),
        ("x: !!int ten", "yaml"),
        ("x: *nowhere", "yaml"),
        ("x: \x07", "yaml"),
        ("x: &a [*a]", "size"),
    ],
)
def test_what_json_cannot_say_is_refused(line: str, rule: str) -> None:
    assert problems_of(f"kind: AgentDeployment\n{line}\n")[0].rule == rule


def test_aliases_that_multiply_are_refused_quickly() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]

    assert problems_of("\n".join(lines))[0].rule == "size"


@pytest.mark.parametrize(
    "text",
    [
        "[" * 2000,
        "{" * 2000,
        '{"a":' * 2000,
        "- " * 2000,
        "a" * 2**21,
        json.dumps({"kind": "AgentDeployment", "spec": json.loads("[" * 400 + "]" * 400)}),
        "kind: AgentDeployment\nspec: " + "[" * 150 + "]" * 150,
    ],
)
def test_absurd_input_is_refused_and_not_crashed_on(text: str) -> None:
    assert problems_of(text)


def test_an_object_from_the_api_server_is_read_with_its_own_fields() -> None:
    data = yaml.safe_load(SMALLEST)
    data["metadata"] |= {
        "uid": "u",
        "resourceVersion": "7",
        "generation": 2,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{"manager": "kubectl"}],
        "finalizers": ["paddock.dev/drain"],
    }
    data["status"] = {"ready": 3}

    assert parse_object(data).metadata.generation == 2


def test_a_message_is_one_printable_line_even_for_odd_values() -> None:
    text = changed(spec__paused="two\nlines \x1b[31m" + "x" * 200)

    assert str(only_problem_of(text)).isprintable()


lines = st.lists(
    st.sampled_from(SMALLEST.splitlines())
    | st.sampled_from(["---", "a: &x [1]", "  b: *x", "<<: {a: 1}", "  ? [x]", "- !!set {a}"])
    | st.text(max_size=12),
    max_size=12,
).map("\n".join)


@given(
    st.text()
    | lines
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["spec", "kind"]), inner),
    ).map(json.dumps)
)
def test_any_text_is_parsed_or_refused_with_problems(text: str) -> None:
    problems: tuple[Problem, ...] | None = None
    try:
        parse_manifest(text)
    except ManifestError as error:
        problems = error.problems

    assert problems is None or problems
    assert all(len(str(problem).splitlines()) == 1 for problem in problems or ())


@given(
    st.sampled_from(["metadata", "spec"]),
    st.sampled_from(["name", "labels", "scaling", "rollout", "template", "sessions", "replicas"]),
    st.recursive(
        st.none() | st.integers() | st.floats() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["spec", "containers", "steps", "name", "schedules", "minRunners"]),
                inner,
                max_size=3,
            )
        ),
    ),
)
def test_any_value_anywhere_is_parsed_or_refused(section: str, field: str, value: object) -> None:
    data = yaml.safe_load(SMALLEST)
    data[section][field] = value
    problems: tuple[Problem, ...] | None = None
    try:
        parse_object(data)
    except ManifestError as error:
        problems = error.problems

    assert problems is None or all(str(problem) for problem in problems)


def test_a_list_of_the_wrong_length_is_called_by_the_length_it_should_have() -> None:
    too_few = only_problem_of(changed(spec__template__spec__containers=[]))
    too_many = only_problem_of(changed(spec__rollout__steps=[{"percent": 1}] * 21))

    assert too_few.message == "expected at least 1 item"
    assert too_many.message == "expected at most 20 items"
