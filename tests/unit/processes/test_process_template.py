"""What of a pod template runs on one machine."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from paddock_operator.backends.processes.template import ProcessTemplate, process_template
from paddock_operator.model.parse import ManifestError, parse_manifest


def _template(container: dict[str, Any], given: dict[str, str] | None = None) -> ProcessTemplate:
    manifest = {
        "apiVersion": "paddock.dev/v1alpha1",
        "kind": "AgentDeployment",
        "metadata": {"name": "x"},
        "spec": {
            "sessionsPerRunner": 1,
            "template": {"spec": {"containers": [{"name": "runner", **container}]}},
        },
    }
    parsed = parse_manifest(yaml.safe_dump(manifest), source="m.yaml")
    return process_template(parsed, source="m.yaml", folder=Path("/pool"), given=given or {})


def test_command_and_args_are_one_command_line() -> None:
    made = _template({"command": ["python"], "args": ["agent.py", "-v"]})

    assert made.command == ("python", "agent.py", "-v")
    assert made.cwd == Path("/pool")


def test_without_a_command_the_error_says_what_to_write() -> None:
    with pytest.raises(ManifestError, match="command") as refused:
        _template({"image": "agent:1"})

    assert "python, agent.py" in str(refused.value)


def test_variables_are_expanded_as_on_kubernetes() -> None:
    made = _template(
        {
            "command": ["run", "$(MODE)", "$$(MODE)", "$(NOBODY_SET_THIS)"],
            "env": [{"name": "MODE", "value": "fast"}],
        }
    )

    assert made.command == ("run", "fast", "$(MODE)", "$(NOBODY_SET_THIS)")


def test_a_variable_from_a_secret_needs_the_env_file() -> None:
    container = {
        "command": ["run"],
        "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
    }
    with pytest.raises(ManifestError, match="--env-file"):
        _template(container)

    assert _template(container, {"TOKEN": "t"}).env["TOKEN"] == "t"


def test_the_working_directory_is_taken_from_the_manifests_folder() -> None:
    assert _template({"command": ["run"], "workingDir": "src"}).cwd == Path("/pool/src")


def test_probes_are_named_as_unused() -> None:
    made = _template({"command": ["run"], "livenessProbe": {"httpGet": {"port": 80}}})

    assert any("livenessProbe" in note for note in made.notes)
