"""`paddock validate`: each document of a file, for people and for programs."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from unit.cli.conftest import Paddock

POOL = """\
apiVersion: paddock.dev/v1alpha1
kind: AgentDeployment
metadata: {name: NAME}
spec:
  sessionsPerRunner: 4
  template:
    spec:
      containers: [{name: runner, image: "registry.example/a:1", command: [python, a.py]}]
"""
CONNECTION = """\
apiVersion: paddock.dev/v1alpha1
kind: OrchestratorConnection
metadata: {name: default}
spec:
  url: https://paddock.example.com
  secretRef: {name: keys}
"""
INSECURE = CONNECTION.replace("https://", "http://")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "m.yaml"


def pool(name: str = "desk") -> str:
    return POOL.replace("NAME", name)


def test_a_connection_by_itself_is_valid(run: Paddock, file: Path) -> None:
    file.write_text(CONNECTION)
    result = run("validate", "-f", str(file))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{file}: OrchestratorConnection default is valid\n"


def test_each_document_is_told_of(run: Paddock, file: Path) -> None:
    file.write_text("---\n".join([pool("one"), CONNECTION, pool("two")]))
    result = run("validate", "-f", str(file))
    assert result.exit_code == 0, result.stderr
    assert [line.removeprefix(f"{file}: ") for line in result.stdout.splitlines()] == [
        "one is valid",
        "OrchestratorConnection default is valid",
        "two is valid",
    ]


def test_a_broken_document_does_not_hide_the_others(run: Paddock, file: Path) -> None:
    file.write_text("---\n".join([pool("one"), INSECURE]))
    result = run("validate", "-f", str(file))
    assert result.exit_code == 1
    assert result.stdout == f"{file}: one is valid\n"
    assert "spec.url" in result.stderr


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_programs_get_documents_and_problems(run: Paddock, file: Path, form: str) -> None:
    file.write_text("---\n".join([pool("one"), INSECURE]))
    result = run("validate", "-f", str(file), "-o", form)
    assert result.exit_code == 1
    read: Any = json.loads if form == "json" else yaml.safe_load
    answer = read(result.stdout)
    assert not answer["valid"]
    assert answer["documents"] == [
        {"kind": "AgentDeployment", "name": "one", "valid": True},
        {"kind": "OrchestratorConnection", "name": "default", "valid": False},
    ]
    assert [each["field"] for each in answer["problems"]] == ["spec.url"]


@pytest.mark.parametrize("text", ["", "---\n", "# nothing\n", "- a\n", "a: [", "kind: Secret\n"])
def test_a_file_without_anything_of_ours_is_refused(run: Paddock, file: Path, text: str) -> None:
    file.write_text(text)
    result = run("validate", "-f", str(file))
    assert (result.exit_code, result.stdout) == (1, "")
    assert str(file) in result.stderr
