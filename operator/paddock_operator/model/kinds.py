"""The kinds of objects there are, each with its rules."""

from typing import Final

from paddock_operator.model.connection import CONNECTION_RULES, OrchestratorConnection
from paddock_operator.model.examine import Kind
from paddock_operator.model.manifest import API_VERSION, CONNECTION_KIND, KIND, AgentDeployment
from paddock_operator.model.rules import RULES

AGENT_DEPLOYMENT: Final = Kind(
    AgentDeployment,
    RULES,
    {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "x"},
        "metadata.name": "x",
        "spec.sessionsPerRunner": 1,
        "spec.template": {"spec": {"containers": [{"name": "x"}]}},
        "spec.template.spec": {"containers": [{"name": "x"}]},
        "spec.template.spec.containers": [{"name": "x"}],
    },
)

ORCHESTRATOR_CONNECTION: Final = Kind(
    OrchestratorConnection,
    CONNECTION_RULES,
    {
        "apiVersion": API_VERSION,
        "kind": CONNECTION_KIND,
        "metadata": {"name": "x"},
        "metadata.name": "x",
        "spec.secretRef": {"name": "x"},
        "spec.secretRef.name": "x",
    },
)
