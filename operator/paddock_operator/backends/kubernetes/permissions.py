"""What the operator must be allowed to do, asked for before anything is done."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from paddock_operator.backends.kubernetes import words
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.words import AGENT_DEPLOYMENTS, CONNECTIONS, GROUP


@dataclass(frozen=True, slots=True)
class Permission:
    """Verbs on one resource."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    subresource: str = ""
    name: str = ""
    """Of the one object that it is about; "" for any."""


NEEDED = (
    Permission(GROUP, AGENT_DEPLOYMENTS, ("get", "list", "watch", "patch")),
    Permission(GROUP, AGENT_DEPLOYMENTS, ("patch",), "status"),
    Permission(GROUP, CONNECTIONS, ("list", "watch")),
    Permission("", "pods", ("get", "list", "watch")),
    Permission("policy", "poddisruptionbudgets", ("list", "watch")),
)
"""Where pools are: without these nothing can be seen, or nobody told. Secrets are not here: they
are granted one by one."""

WANTED = (
    # Owning pods that block a pool's deletion needs this where the API server checks it.
    Permission(GROUP, AGENT_DEPLOYMENTS, ("update",), "finalizers"),
    Permission(GROUP, CONNECTIONS, ("patch",), "status"),
    Permission("", "pods", ("create", "patch", "delete")),
    Permission("", "events", ("create",)),
    # Server-side apply of an object that is not there yet needs create, too.
    Permission("policy", "poddisruptionbudgets", ("create", "patch")),
    Permission("apps", "controllerrevisions", ("list", "create", "delete")),
)
"""Where pools are: what is not granted of these is told by the pools that need it."""

# What is to be made has no name yet that a role could ask for.
LEASE = (
    Permission("coordination.k8s.io", "leases", ("create",)),
    Permission("coordination.k8s.io", "leases", ("get", "patch"), name=words.LEASE),
)
LEARNED = (
    Permission("", "configmaps", ("create",)),
    Permission("", "configmaps", ("get", "patch"), name=words.LEARNED),
)
"""Where the lease is, and nothing of anybody else's."""

NODES = (Permission("", "nodes", ("list", "watch")),)
"""In the cluster; an operator of some namespaces does without, and so without drainOnCordon."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Permissions that are not granted, each as `patch pods in all namespaces`."""

    needed: tuple[str, ...] = ()
    """Without which there is no operator."""
    wanted: tuple[str, ...] = ()
    """Without which something of it does not work."""


async def missing_permissions(client: KubeClient, namespace: str, lease_namespace: str) -> Missing:
    """What the operator may not do, in `namespace` or, with "", in all of them."""
    # Without a namespace the role is the cluster's, and there is no reason to do without nodes.
    nodes = [] if namespace else await _missing(client, NODES, "")
    return Missing(
        needed=(
            *await _missing(client, NEEDED, namespace),
            *await _missing(client, LEASE, lease_namespace),
        ),
        wanted=(
            *await _missing(client, WANTED, namespace),
            *await _missing(client, LEARNED, lease_namespace),
            *nodes,
        ),
    )


async def _missing(client: KubeClient, needed: Sequence[Permission], namespace: str) -> list[str]:
    asked = [(verb, each) for each in needed for verb in each.verbs]
    granted = await asyncio.gather(
        *(
            client.can_i(
                verb, each.group, each.resource, namespace, each.subresource, name=each.name
            )
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
    kind = "/".join(part for part in (permission.resource, permission.subresource) if part)
    return f"{kind} named {permission.name}" if permission.name else kind
