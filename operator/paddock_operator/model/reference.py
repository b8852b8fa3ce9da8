"""The manifest's reference page, written from the schema and the rules so that it stays true.

`python -m paddock_operator.model.reference > docs/agentdeployment.md` writes it anew.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any, cast

from paddock_operator.model.connection import (
    BASE64_PATTERN,
    CONNECTION_RULES,
    SECRET_PATTERN,
    URL_PATTERN,
    OrchestratorConnection,
)
from paddock_operator.model.manifest import API_VERSION, CONNECTION_KIND, KIND
from paddock_operator.model.rule import Rule
from paddock_operator.model.rules import AGENT_ID_STAYS, RULES
from paddock_operator.model.schema import Node, json_schema

_INTRO = f"""\
# The {KIND} manifest

This page is generated. Change the model in `operator/paddock_operator/model`, then run
`python -m paddock_operator.model.reference > docs/agentdeployment.md`.

A manifest declares the pool of runners of one agent. `paddock up -f FILE` runs it on one machine;
`paddock validate -f FILE` checks it without running anything, and `paddock validate --schema`
prints the fields as a JSON Schema for an editor.

The smallest one that `paddock up` runs:

```yaml
apiVersion: {API_VERSION}
kind: {KIND}
metadata:
  name: my-first-agent
spec:
  sessionsPerRunner: 5
  template:
    spec:
      containers:
        - name: agent
          command: ["paddock", "run", "agent.py"]
```

Field names are camelCase. An unknown field is an error, and types are strict: `"5"` is no number.
Durations are whole seconds unless the field says otherwise. A size such as `maxSurge` is a whole
number, or a percentage like `"25%"`, which is rounded up to at least 1.
"""

_RULES = """\
## Rules between fields

`paddock validate` names the rule that is broken, the field, its value and the fix. An API server
has the same rules from `crds/`.
"""

_LOCAL = """\
## On one machine

`paddock up` reads the first container of the template only.

* `command` is required: the entrypoint of an image is not known. `args` are appended to it.
* `env` with plain values is passed on. A variable with `valueFrom`, and `envFrom`, need
  `--env-file FILE`.
* `$(NAME)` in `command`, `args` and `env` is replaced as Kubernetes does; `$$` is a dollar sign.
* `workingDir` is taken relative to the manifest's folder.
* Fields about pods, nodes and the cluster are checked and otherwise not used: `connectionRef`,
  `disruption`, `rollout.revisionHistoryLimit`, `restartPolicy`, `terminationGracePeriodSeconds`.
* Probes, ports, resources and volume mounts are not used, nor is any container but the first;
  `paddock up` says so when it starts.
"""

_CONNECTION = f"""\
## The {CONNECTION_KIND}

In a cluster, `connectionRef` names an {CONNECTION_KIND} in the pool's namespace. It may stand in
the same file; `paddock up` checks it and otherwise leaves it alone.

```yaml
apiVersion: {API_VERSION}
kind: {CONNECTION_KIND}
metadata:
  name: default
spec:
  url: https://paddock.example
  secretRef:
    name: paddock-key
```
"""

_KINDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "array": "list",
    "object": "object",
}
_PATTERNS = {
    "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$": "lower-case letters, digits, inner hyphens",
    "^(100|[1-9]?[0-9])%$": "a percentage",
    URL_PATTERN: "http(s)://host[:port][/path]",
    SECRET_PATTERN: "lower-case letters, digits, inner hyphens and dots",
    BASE64_PATTERN: "base64",
}


def markdown() -> str:
    """The whole page."""
    schema = json_schema()
    parts = [_INTRO, "## Fields\n"]
    parts += [_section(path, kind, schema) for path, kind in _objects(KIND, schema, "")]
    parts += [_RULES, _rules((*RULES, AGENT_ID_STAYS)), _LOCAL, *_connection()]
    return "\n".join(parts)


def _connection() -> Iterator[str]:
    schema = json_schema(OrchestratorConnection)
    yield _CONNECTION
    for path, kind in _objects(CONNECTION_KIND, schema, ""):
        if path.startswith("spec"):
            yield _section(path, kind, schema, of=f" of an {CONNECTION_KIND}")
    yield "### Rules between its fields\n"
    yield _rules(CONNECTION_RULES)


def _objects(kind: str, whole: Node, path: str) -> Iterator[tuple[str, str]]:
    """Every declared object, outermost first: its dotted path and the name of its kind."""
    yield path, kind
    for name, field in _properties(_node(kind, whole)).items():
        below, suffix = _target(field)
        if below:
            yield from _objects(below, whole, f"{path}.{name}{suffix}".lstrip("."))


def _section(path: str, kind: str, whole: Node, of: str = "") -> str:
    node = _node(kind, whole)
    required = cast("list[str]", node.get("required", []))
    lines = [f"### {f'`{path}`' if path else 'The object'}{of}\n"]
    if path:
        lines.append(f"{_sentence(node)}\n")
    lines += ["| field | value | default | meaning |", "|---|---|---|---|"]
    for name, field in _properties(node).items():
        default = "required" if name in required else _default(field)
        cells = (f"`{name}`", _kind(field), default, _meaning(field, whole))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    if node.get("additionalProperties") is True:
        lines.append("\nOther fields are kept as they are.")
    return "\n".join(lines) + "\n"


def _sentence(node: Node) -> str:
    return str(node.get("description", "")).split("\n\n")[0].replace("\n", " ")


def _meaning(field: Node, whole: Node) -> str:
    """The field's description, which the schema leaves out where it is its object's, too."""
    kind, _ = _target(field)
    return _sentence(field if "description" in field or not kind else _node(kind, whole))


def _default(field: Node) -> str:
    if "default" not in field and field.get("type") == "object":
        return "`{}`"
    if "default" not in field or field["default"] is None:
        return "none"
    return f"`{json.dumps(field['default'])}`"


def _kind(field: Node) -> str:
    choices = [c for c in cast("list[Node]", field.get("anyOf", [])) if c.get("type") != "null"]
    if choices:
        outer: Node = {k: field[k] for k in ("pattern", "maxLength") if k in field}
        return " or ".join(_kind({**outer, **choice}) for choice in choices)
    if "$ref" in field:
        return "object, below"
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{word}`" for word in cast("list[str]", field["enum"]))
    kind = str(field.get("type", "anything"))
    shown = _KINDS.get(kind, kind)
    if kind == "array" and "$ref" in cast("Node", field.get("items", {})):
        shown = "list of objects, below"
    bounds = _bounds(field)
    return f"{shown}, {bounds}" if bounds else shown


def _bounds(field: Node) -> str:
    low, above, high = (field.get(bound) for bound in ("minimum", "exclusiveMinimum", "maximum"))
    words = []
    if low is not None and high is not None:
        words.append(f"{low} to {high}")
    else:
        words += [f"at least {low}"] if low is not None else []
        words += [f"above {above}"] if above is not None else []
        words += [f"at most {high}"] if high is not None else []
    if "maxLength" in field:
        words.append(f"at most {field['maxLength']} characters")
    if "minItems" in field:
        words.append(f"at least {field['minItems']}")
    if "maxItems" in field:
        words.append(f"at most {field['maxItems']}")
    if "pattern" in field:
        pattern = str(field["pattern"])
        words.append(_PATTERNS.get(pattern, f"`{pattern}`"))
    return ", ".join(words)


def _rules(rules: Iterable[Rule[Any]]) -> str:
    lines = ["| rule | field | what must hold | how to mend it |", "|---|---|---|---|"]
    lines += [f"| `{r.name}` | `{r.field}` | {r.message} | {r.fix} |" for r in rules]
    return "\n".join(lines) + "\n"


def _properties(node: Node) -> dict[str, Node]:
    return cast("dict[str, Node]", node.get("properties", {}))


def _target(field: Node) -> tuple[str, str]:
    """The kind of object that a field leads to, "" for none, and `[]` if through a list."""
    for choice in cast("list[Node]", field.get("anyOf", [])):
        if "$ref" in choice:
            return _target(choice)
    if field.get("type") == "array":
        return _target(cast("Node", field.get("items", {})))[0], "[]"
    return str(field.get("$ref", "")).rpartition("/")[2], ""


def _node(kind: str, whole: Node) -> Node:
    return whole if kind == whole["title"] else cast("dict[str, Node]", whole["$defs"])[kind]


if __name__ == "__main__":
    sys.stdout.write(markdown())
