"""The manifest's reference page, written from the schema and the rules so that it stays true.

`python -m paddock_operator.model.reference > docs/manifest.md` writes it anew.
"""

import json
import sys
from collections.abc import Iterator
from typing import cast

from paddock_operator.model.manifest import API_VERSION, KIND
from paddock_operator.model.rules import RULES
from paddock_operator.model.schema import Node, json_schema

_INTRO = f"""\
# The {KIND} manifest

This page is generated. Change the model in `operator/paddock_operator/model`, then run
`python -m paddock_operator.model.reference > docs/manifest.md`.

A manifest declares the pool of runners of one agent. `paddock up -f FILE` runs it on one machine;
`paddock validate -f FILE` checks it without running anything, and `paddock validate --schema`
prints the same schema as JSON for an editor. `apiVersion` is `{API_VERSION}`, `kind` is `{KIND}`.

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

_LOCAL = """\
## On one machine

`paddock up` reads the first container of the template only.

* `command` is required: the entrypoint of an image is not known. `args` are appended to it.
* `env` with plain values is passed on. A variable with `valueFrom`, and `envFrom`, need
  `--env-file FILE`.
* `$(NAME)` in `command`, `args` and `env` is replaced as Kubernetes does; `$$` is a dollar sign.
* `workingDir` is taken relative to the manifest's folder.
* Probes, ports, resources and volumes are not used; `paddock up` says so once.
"""

_KINDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "array": "list",
    "object": "object",
    "null": "null",
}
_NAMES = {
    "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$": "lower-case letters, digits, inner hyphens",
    "^(100|[1-9]?[0-9])%$": "a percentage",
}


def markdown() -> str:
    """The whole page."""
    schema = json_schema()
    parts = [_INTRO, "## Fields\n"]
    parts += [_section(path, node, schema) for path, node in _objects(schema, schema, "")]
    parts += [_rules(), _LOCAL]
    return "\n".join(parts)


def _objects(node: Node, whole: Node, path: str) -> Iterator[tuple[str, Node]]:
    """Every declared object, outermost first, with its dotted path."""
    if _properties(node):
        yield path, node
    for name, field in _properties(node).items():
        below, suffix = _target(field, whole)
        yield from _objects(below, whole, f"{path}.{name}{suffix}".lstrip("."))


def _section(path: str, node: Node, whole: Node) -> str:
    required = cast("list[str]", node.get("required", []))
    lines = [f"### {f'`{path}`' if path else 'The object'}\n"]
    if path and "description" in node:
        lines.append(f"{_sentence(node)}\n")
    lines += ["| field | value | default | meaning |", "|---|---|---|---|"]
    for name, field in _properties(node).items():
        default = "required" if name in required else _default(field)
        cells = (f"`{name}`", _kind(field, whole), default, str(field.get("description", "")))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    if node.get("additionalProperties") is True:
        lines.append("\nOther fields are kept as they are.")
    return "\n".join(lines) + "\n"


def _sentence(node: Node) -> str:
    return str(node["description"]).split("\n\n")[0].replace("\n", " ")


def _default(field: Node) -> str:
    if "default" not in field or field["default"] is None:
        return "none"
    return f"`{json.dumps(field['default'])}`"


def _kind(field: Node, whole: Node) -> str:
    choices = [c for c in cast("list[Node]", field.get("anyOf", [])) if c.get("type") != "null"]
    if choices:
        return " or ".join(_kind({**choice, "default": None}, whole) for choice in choices)
    if "$ref" in field:
        return "object, below"
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{word}`" for word in cast("list[str]", field["enum"]))
    kind = str(field.get("type", "anything"))
    bounds = _bounds(field)
    shown = _KINDS.get(kind, kind)
    if kind == "array" and "$ref" in cast("Node", field.get("items", {})):
        shown = "list of objects, below"
    return f"{shown}, {bounds}" if bounds else shown


def _bounds(field: Node) -> str:
    low = field.get("minimum", field.get("exclusiveMinimum"))
    high = field.get("maximum")
    words = []
    if low is not None:
        over = "above" if "exclusiveMinimum" in field else "at least"
        words.append(f"{low} to {high}" if high is not None and over != "above" else f"{over} {low}")
    if high is not None and (low is None or "exclusiveMinimum" in field):
        words.append(f"at most {high}")
    if "maxLength" in field:
        words.append(f"at most {field['maxLength']} characters")
    if "minItems" in field:
        words.append(f"at least {field['minItems']}")
    if "maxItems" in field:
        words.append(f"at most {field['maxItems']}")
    if "pattern" in field:
        pattern = str(field["pattern"])
        words.append(_NAMES.get(pattern, f"`{pattern}`"))
    return ", ".join(words)


def _rules() -> str:
    lines = [
        "## Rules between fields\n",
        "`paddock validate` names the rule that is broken, the field, its value and the fix.\n",
        "| rule | field | what must hold | how to mend it |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{r.name}` | `{r.field}` | {r.message} | {r.fix} |" for r in RULES]
    lines.append(
        "| `agent-id-immutable` | `spec.agentId` | the agent's id of a running pool cannot change "
        "| create a second AgentDeployment and delete this one |"
    )
    return "\n".join(lines) + "\n"


def _properties(node: Node) -> dict[str, Node]:
    return cast("dict[str, Node]", node.get("properties", {}))


def _target(field: Node, whole: Node) -> tuple[Node, str]:
    """The object that a field leads to, through a reference, an option or a list."""
    for choice in cast("list[Node]", field.get("anyOf", [])):
        if "$ref" in choice:
            return _target(choice, whole)
    if field.get("type") == "array":
        below, _ = _target(cast("Node", field.get("items", {})), whole)
        return below, "[]"
    reference = field.get("$ref")
    if not isinstance(reference, str):
        return {}, ""
    definitions = cast("dict[str, Node]", whole["$defs"])
    return definitions[reference.rpartition("/")[2]], ""


if __name__ == "__main__":
    sys.stdout.write(markdown())
