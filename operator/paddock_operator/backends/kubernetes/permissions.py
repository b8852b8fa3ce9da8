"""What the operator must be allowed to do, asked for before anything is done."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.words import AGENT_DEPLOYMENTS, CONNECTIONS, GROUP


@dataclass(frozen=True, slots=True)
class Permission:
    """Verbs on one resource."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    subresource: str = ""


POOLS = (
    Permission(GROUP, AGENT_DEPLOYMENTS, ("get", "list", "watch", "patch")),
    Permission(GROUP, AGENT_DEPLOYMENTS, ("patch",), "status"),
    # Owning pods that block a pool's deletion needs this where the API server checks it.
    Permission(GROUP, AGENT_DEPLOYMENTS, ("update",), "finalizers"),
    Permission(GROUP, CONNECTIONS, ("list", "watch")),
    Permission(GROUP, CONNECTIONS, ("patch",), "status"),
    Permission("", "pods", ("get", "list", "watch", "create", "patch", "delete")),
    Permission("", "events", ("create",)),
    # Server-side apply of an object that is not there yet needs create, too.
    Permission("policy", "poddisruptionbudgets", ("list", "watch", "create", "patch")),
    Permission("apps", "controllerrevisions", ("list", "create", "delete")),
)
"""Where pools are. Secrets are not here: they are granted one by one."""

LEASE = (
    Permission("coordination.k8s.io", "leases", ("get", "create", "patch")),
    Permission("", "configmaps", ("get", "create", "patch")),
)
"""Where the lease is."""

NODES = (Permission("", "nodes", ("list", "watch")),)
"""In the cluster; an operator of some namespaces does without, and so without drainOnCordon."""


async def missing_permissions(
    client: KubeClient, namespace: str, lease_namespace: str
) -> list[str]:
    """Each as `patch pods in all namespaces`; empty when nothing is missing."""
    missing = [
        *await _missing(client, POOLS, namespace),
        *await _missing(client, LEASE, lease_namespace),
    ]
    # Without a namespace the role is the cluster's, and there is no reason to do without them.
    return missing if namespace else [*missing, *await _missing(client, NODES, "")]


async def _missing(client: KubeClient, needed: Sequence[Permission], namespace: str) -> list[str]:
    asked = [(verb, each) for each in needed for verb in each.verbs]
    granted = await asyncio.gather(
        *(
            client.can_i(verb, each.group, each.resource, namespace, each.subresource)
            for verb, each in asked
        )
    )
    where = f"in namespace {namespace}" if namespace else "in all namespaces"
    return [
        f"{verb} {_named(each)} {where}"
        for (verb, each), allowed in zip(asked, granted, strict=True)
        if not allowed
    ]


def _named(permission: Permission) -> str:
    return "/".join(part for part in (permission.resource, permission.subresource) if part)
