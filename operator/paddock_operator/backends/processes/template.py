"""What a pod template means on one machine: the first container's command, as a child process."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.model.problems import ManifestError, Problem

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
_HERE = "spec.template.spec.containers[0]"
IGNORED = ("livenessProbe", "readinessProbe", "startupProbe", "resources", "ports", "volumeMounts")


@dataclass(frozen=True, slots=True)
class ProcessTemplate:
    """A runner's command line, environment and folder. `notes` says what was left out."""

    command: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    notes: tuple[str, ...] = ()


def process_template(
    manifest: AgentDeployment, *, source: str, folder: Path, given: Mapping[str, str]
) -> ProcessTemplate:
    """The template of `manifest`; `given` are variables of `--env-file`.

    Relative paths are taken from `folder`, the manifest's own. Raises `ManifestError` for what
    cannot be run here, with the fix.
    """
    container = manifest.spec.template.spec.containers[0].model_dump(by_alias=True)
    problems: list[Problem] = []
    command = [*(container.get("command") or []), *(container.get("args") or [])]
    if not container.get("command"):
        problems.append(
            _problem(
                source,
                f"{_HERE}.command",
                container.get("command"),
                "local-command",
                "the image's own entrypoint is not known here",
                "write the command that starts the runner, e.g. [python, agent.py]",
            )
        )
    env = _environment(container, source, given, problems)
    if problems:
        raise ManifestError(tuple(problems))
    working = container.get("workingDir")
    cwd = folder / working if working else folder
    notes = [f"{name} is not used by `paddock up`" for name in IGNORED if container.get(name)]
    if len(manifest.spec.template.spec.containers) > 1:
        notes.append("only the first container is run by `paddock up`")
    return ProcessTemplate(
        tuple(_expanded(str(word), env) for word in command), env, cwd, tuple(notes)
    )


def _environment(
    container: Mapping[str, Any],
    source: str,
    given: Mapping[str, str],
    problems: list[Problem],
) -> dict[str, str]:
    env: dict[str, str] = dict(given)
    if container.get("envFrom") and not given:
        problems.append(
            _problem(
                source,
                f"{_HERE}.envFrom",
                container["envFrom"],
                "local-env",
                "config maps and secrets are not there on this machine",
                "pass the variables with --env-file FILE",
            )
        )
    for index, variable in enumerate(container.get("env") or []):
        name = variable.get("name", "")
        if variable.get("valueFrom") is None:
            env[name] = _expanded(str(variable.get("value", "")), env)
        elif name not in given:
            problems.append(
                _problem(
                    source,
                    f"{_HERE}.env[{index}].valueFrom",
                    name,
                    "local-env",
                    "config maps, secrets and pod fields are not there on this machine",
                    f"put {name}=... into a file and pass it with --env-file FILE",
                )
            )
    return env


def _expanded(text: str, env: Mapping[str, str]) -> str:
    """Kubernetes' `$(NAME)`, with `$$` for a dollar sign; an unknown name stays as it is."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return env.get(match[1], os.environ.get(match[1], match[0]))

    return _REFERENCE.sub(value, text)


def _problem(source: str, field: str, value: object, rule: str, message: str, fix: str) -> Problem:
    return Problem(source=source, field=field, value=value, rule=rule, message=message, fix=fix)
