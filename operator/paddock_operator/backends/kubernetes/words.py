"""Names that the operator writes into a cluster. Changing one strands what was written before."""

GROUP = "paddock.dev"
VERSION = "v1alpha1"
AGENT_DEPLOYMENTS = "agentdeployments"
CONNECTIONS = "orchestratorconnections"

MANAGER = "paddock-operator"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED = f"{MANAGED_BY}={MANAGER}"
"""Selects everything the operator made."""

POOL = f"{GROUP}/pool"
REVISION = f"{GROUP}/revision"
HOLD = f"{GROUP}/hold"
HELD = "true"

EPOCH = f"{GROUP}/drain-epoch"
MODE = f"{GROUP}/mode"
REASON = f"{GROUP}/reason"
SINCE = f"{GROUP}/since"
DEADLINE = f"{GROUP}/deadline"
SLOT = f"{GROUP}/slot"
CA_BUNDLE = f"{GROUP}/ca-bundle"

FINALIZER = f"{GROUP}/drain"
"""On an AgentDeployment: its runners have not all left yet."""

ORPHANING = "orphan"
"""The cluster's own finalizer: its garbage collector takes the owner's name off what it owns."""

LEASE = "paddock-operator"
"""Held by the one operator that is at work."""

LEARNED = "paddock-operator-learned"
"""The ConfigMap with what sizing policies learned."""

HOLD_BUDGET = "paddock-agents-hold"
"""The one disruption budget of a namespace: it never allows an eviction."""

SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"
DO_NOT_DISRUPT = "karpenter.sh/do-not-disrupt"


def pods_path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


def pools_path(namespace: str = "") -> str:
    """Of one namespace, or of all."""
    return _custom(AGENT_DEPLOYMENTS, namespace)


def connections_path(namespace: str = "") -> str:
    """Of one namespace, or of all."""
    return _custom(CONNECTIONS, namespace)


def _custom(plural: str, namespace: str) -> str:
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"/apis/{GROUP}/{VERSION}{scope}/{plural}"
