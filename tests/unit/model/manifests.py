"""A complete manifest to change in one place per test."""

from collections.abc import Mapping
from typing import Any

import yaml

from paddock_operator.model.parse import ManifestError, Problem, parse_manifest

SMALLEST = """\
apiVersion: paddock.dev/v1alpha1
kind: AgentDeployment
metadata: {name: support-en}
spec:
  sessionsPerRunner: 4
  template: {spec: {containers: [{name: runner, image: example/runner:1}]}}
"""


CONNECTION = """\
apiVersion: paddock.dev/v1alpha1
kind: OrchestratorConnection
metadata: {name: default}
spec: {url: https://paddock.example, secretRef: {name: paddock-key}}
"""


def changed_data(base: str, changes: Mapping[str, object]) -> dict[str, Any]:
    """The object `base`, with values set at `spec__scaling__minRunners`-like paths.

    The value `...` takes the field out.
    """
    data: dict[str, Any] = yaml.safe_load(base)
    for path, value in changes.items():
        *parents, last = path.split("__")
        node = data
        for parent in parents:
            node = node.setdefault(parent, {})
        if value is ...:
            del node[last]
        else:
            node[last] = value
    return data


def changed(**changes: object) -> str:
    """The smallest manifest as text, changed as by `changed_data`."""
    return yaml.safe_dump(changed_data(SMALLEST, changes))


def problems_of(text: str) -> tuple[Problem, ...]:
    """What is wrong with `text`, which must be refused."""
    try:
        parse_manifest(text, source="agent.yaml")
    except ManifestError as error:
        return error.problems
    raise AssertionError("the manifest was accepted")


def only_problem_of(text: str) -> Problem:
    """The single thing that is wrong with `text`."""
    problems = problems_of(text)
    assert len(problems) == 1, "\n".join(map(str, problems))
    return problems[0]
