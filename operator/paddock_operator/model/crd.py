"""The custom resource definitions, written from the model so that both say the same.

`python -m paddock_operator.model.crd agentdeployments > crds/agentdeployments.yaml` writes one
anew, and so with `orchestratorconnections`; without a name, both are written.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import yaml
from pydantic import TypeAdapter

from paddock_operator.model.connection import CONNECTION_RULES, OrchestratorConnection
from paddock_operator.model.manifest import API_VERSION, CONNECTION_KIND, KIND, AgentDeployment
from paddock_operator.model.rule import Rule
from paddock_operator.model.rules import AGENT_ID_STAYS, RULES
from paddock_operator.model.schema import Node, json_schema
from paddock_operator.model.status import CONNECTION_STATUS, POOL_STATUS
from paddock_operator.model.structural import Structural

GROUP, VERSION = API_VERSION.split("/")

_KEYS = {"spec.scaling.schedules": "name", "spec.template.spec.containers": "name"}

_UNPATTERNED = ("spec.agentId", "spec.url")
"""Their patterns are rules, whose messages say more than "does not match"."""

_POOL_COLUMNS = (
    ("Desired", "integer", ".status.desiredRunners", "Runners there should be."),
    ("Ready", "integer", ".status.ready", "Runners that take sessions."),
    ("Idle", "integer", ".status.idle", "Ready runners without a session."),
    ("Draining", "integer", ".status.draining", "Runners that take nothing new and leave."),
    ("Calls", "integer", ".status.sessions.inFlight", "Sessions that take a slot."),
    ("Queued", "integer", ".status.sessions.queued", "Starts that wait for a slot."),
    ("Free", "integer", ".status.sessions.free", "Slots that can be taken now."),
    (
        "Available",
        "string",
        '.status.conditions[?(@.type=="Available")].status',
        "Whether there are enough runners and free slots.",
    ),
)
_POOL_WIDE_COLUMNS = (
    ("Min", "integer", ".spec.scaling.minRunners", "Never fewer runners."),
    ("Max", "integer", ".spec.scaling.maxRunners", "Never more runners."),
    ("Revision", "string", ".status.revision.current", "Revision last rolled out in full."),
    ("Reason", "string", ".status.scaling.reason", "Why the size is what it is."),
)
_CONNECTION_COLUMNS = (
    ("URL", "string", ".spec.url", "Address of the orchestrator."),
    (
        "Ready",
        "string",
        '.status.conditions[?(@.type=="Ready")].status',
        "Whether the orchestrator answers and takes the key.",
    ),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "Why it is so."),
)
_AGE = ("Age", "date", ".metadata.creationTimestamp", "Time since it was created.")

_Column = tuple[str, str, str, str]


def agent_deployments() -> Node:
    """The definition of AgentDeployment."""
    columns = [
        *_columns(_POOL_COLUMNS),
        *_columns(_POOL_WIDE_COLUMNS, priority=1),
        *_columns((_AGE,)),
    ]
    return _definition(
        {
            "kind": KIND,
            "listKind": f"{KIND}List",
            "plural": "agentdeployments",
            "singular": "agentdeployment",
            "shortNames": ["agd"],
            "categories": ["all", "paddock"],
        },
        {
            "schema": _schema(AgentDeployment, POOL_STATUS, (*RULES, AGENT_ID_STAYS)),
            "subresources": {
                "status": {},
                "scale": {
                    "specReplicasPath": ".spec.replicas",
                    "statusReplicasPath": ".status.replicas",
                    "labelSelectorPath": ".status.selector",
                },
            },
            "additionalPrinterColumns": columns,
        },
    )


def orchestrator_connections() -> Node:
    """The definition of OrchestratorConnection."""
    return _definition(
        {
            "kind": CONNECTION_KIND,
            "listKind": f"{CONNECTION_KIND}List",
            "plural": "orchestratorconnections",
            "singular": "orchestratorconnection",
            "categories": ["paddock"],
        },
        {
            "schema": _schema(OrchestratorConnection, CONNECTION_STATUS, CONNECTION_RULES),
            "subresources": {"status": {}},
            "additionalPrinterColumns": _columns((*_CONNECTION_COLUMNS, _AGE)),
        },
    )


DEFINITIONS: Final[Mapping[str, Callable[[], Node]]] = {
    "agentdeployments": agent_deployments,
    "orchestratorconnections": orchestrator_connections,
}
"""By the plural name, which is also that of the file in `crds/`."""


def definition_yaml(name: str) -> str:
    """The definition of the resource called `name`, as it is checked in."""
    head = (
        "# Generated from operator/paddock_operator/model. Write it anew with\n"
        f"# python -m paddock_operator.model.crd {name} > crds/{name}.yaml\n"
    )
    body: str = yaml.safe_dump(DEFINITIONS[name](), sort_keys=False, allow_unicode=True, width=100)
    return f"{head}---\n{body}"


def _definition(names: Node, version: Node) -> Node:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": names,
            "scope": "Namespaced",
            "versions": [{"name": VERSION, "served": True, "storage": True, **version}],
        },
    }


def _schema(
    model: type[AgentDeployment | OrchestratorConnection],
    status: TypeAdapter[Any],
    rules: Iterable[Rule[Any]],
) -> Node:
    rows = [rule for rule in rules if rule.cel]
    spec = Structural(
        json_schema(model),
        keys=_KEYS,
        unpatterned=_UNPATTERNED,
        # What is filled into the template would make it another revision than the written one.
        undefaulted={"spec.template"},
    )
    written = Structural(
        status.json_schema(mode="serialization"), keys={"conditions": "type"}, undefaulted={""}
    )
    return {
        "openAPIV3Schema": {
            "description": spec.at("")["description"],
            "type": "object",
            "properties": {
                "apiVersion": {"type": "string", "description": "Version of this schema."},
                "kind": {"type": "string", "description": "Kind of the object."},
                "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
                "spec": spec.at("spec"),
                "status": {**written.at(""), "description": "Written by the operator."},
            },
            "required": ["spec"],
            "x-kubernetes-validations": [
                {"rule": rule.cel, "message": rule.message, "fieldPath": f".{rule.field}"}
                for rule in rows
            ],
        }
    }


def _columns(columns: Iterable[_Column], *, priority: int = 0) -> list[Node]:
    wide: Node = {"priority": priority} if priority else {}
    return [
        {"name": name, "type": kind, "jsonPath": path, "description": says, **wide}
        for name, kind, path, says in columns
    ]


if __name__ == "__main__":
    sys.stdout.write("".join(map(definition_yaml, sys.argv[1:] or DEFINITIONS)))
