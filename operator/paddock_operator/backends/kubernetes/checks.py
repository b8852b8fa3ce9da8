"""Whether a cluster can have pools, and whether those it has are well."""

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from paddock.findings import Finding, doubtful, fine, wrong
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.errors import Forbidden, KubeError, NoAccess, NotFound
from paddock_operator.backends.kubernetes.permissions import missing_permissions
from paddock_operator.backends.kubernetes.retry import Retries
from paddock_operator.backends.kubernetes.words import LEASE, connections_path, pools_path
from paddock_operator.model.crd import DEFINITIONS

OLDEST = 29
"""Minor version of the oldest Kubernetes that is supported."""
APPLY = "paddock crds | kubectl apply --server-side -f -"
PATIENCE_S = 5.0
"""Somebody waits, and wants to know that there is no answer."""
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_LEASES = "/apis/coordination.k8s.io/v1/leases"
_HEALTHY = {
    "TemplateAccepted": "True",
    "Degraded": "False",
    "OrchestratorReachable": "True",
    "Available": "True",
}


async def cluster_findings(
    kubeconfig: str | None, context: str | None, namespace: str
) -> AsyncIterator[Finding]:
    """Look, and change nothing. `namespace` "" is all of them."""
    file = Path(kubeconfig) if kubeconfig else None
    hasty = Retries(give_up_after_s=PATIENCE_S)
    async with KubeClient.connect(file, context, timeout_s=PATIENCE_S, retries=hasty) as client:
        try:
            version = await client.get("/version")
        except (KubeError, NoAccess) as why:
            fix = "name a kubeconfig with --kubeconfig, or log in to the cluster"
            yield wrong("cluster", str(why), fix)
            return
        yield _version(version)
        defined = True
        for define in DEFINITIONS.values():
            finding = await _definition(client, define())
            defined = defined and finding.verdict != "wrong"
            yield finding
        yield await _permissions(client, namespace)
        yield await _operator(client, namespace)
        if defined:
            async for finding in _objects(client, namespace):
                yield finding


def _version(version: Mapping[str, Any]) -> Finding:
    minor = "".join(filter(str.isdecimal, str(version.get("minor", ""))))
    if minor and int(minor) < OLDEST:
        found = f"Kubernetes {version['gitVersion']}"
        return doubtful("cluster", found, f"upgrade it to 1.{OLDEST} or newer")
    return fine("cluster", f"Kubernetes {version.get('gitVersion')}")


async def _definition(client: KubeClient, ours: Mapping[str, Any]) -> Finding:
    name = ours["metadata"]["name"]
    try:
        there = await client.get(f"{_DEFINITIONS}/{name}")
    except NotFound:
        return wrong(name, "it is not defined", APPLY)
    except Forbidden:
        return doubtful(name, "it may not be read by you", "look with an administrator's rights")
    lacking = sorted(set(_fields(ours)) - set(_fields(there)))
    if lacking:
        found = f"it is older than this command: it lacks {', '.join(lacking[:3])}"
        return wrong(name, found, APPLY)
    return fine(name, "it is defined")


def _fields(definition: Mapping[str, Any]) -> Iterator[str]:
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    yield from _below(schema, "")


def _below(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, field in (schema.get("properties") or {}).items():
        yield f"{path}.{name}".lstrip(".")
        yield from _below(field, f"{path}.{name}")
    if isinstance(schema.get("items"), Mapping):
        yield from _below(schema["items"], f"{path}[]")


async def _permissions(client: KubeClient, namespace: str) -> Finding:
    lacks = await missing_permissions(client, namespace, namespace or "default")
    missing = [*lacks.needed, *lacks.wanted]
    if not missing:
        return fine("permissions", "you may do all that an operator does")
    found = f"you may not {', '.join(missing[:3])}" + (" and more" if len(missing) > 3 else "")
    return doubtful("permissions", found, "grant them, if the operator runs as you")


async def _operator(client: KubeClient, namespace: str) -> Finding:
    try:
        leases = (await client.list(_LEASES)).items
    except Forbidden:
        return doubtful("operator", "leases may not be listed by you", "look with more rights")
    named = [item for item in leases if item["metadata"]["name"] == LEASE]
    # One of this namespace alone holds its lease there; one of all, anywhere.
    own = [item for item in named if item["metadata"]["namespace"] == namespace]
    held = [item["spec"] for item in own or named]
    if not held:
        return wrong("operator", "none has ever run here", "install it: docs/install.md")
    newest = max(held, key=lambda spec: spec.get("renewTime") or "")
    renewed = newest.get("renewTime")
    age_s = (
        (datetime.now(UTC) - datetime.fromisoformat(renewed)).total_seconds()
        if renewed
        else float("inf")
    )
    if not newest.get("holderIdentity") or age_s > 2 * newest.get("leaseDurationSeconds", 15):
        found = "none is at work" + (f"; the last one was {age_s:.0f} s ago" if renewed else "")
        return wrong("operator", found, "look at its pod and log: kubectl -n NAMESPACE get pods")
    return fine("operator", f"{newest['holderIdentity']} is at work")


async def _objects(client: KubeClient, namespace: str) -> AsyncIterator[Finding]:
    for path, kind, healthy in (
        (connections_path(namespace), "connection", {"Ready": "True"}),
        (pools_path(namespace), "pool", _HEALTHY),
    ):
        try:
            items = (await client.list(path)).items
        except KubeError as why:
            yield doubtful(f"{kind}s", f"they cannot be listed: {why}", "look with more rights")
            continue
        if not items:
            yield doubtful(f"{kind}s", "there is none", "apply one: docs/agentdeployment.md")
        for item in items:
            yield _object(item, kind, healthy)


def _object(item: Mapping[str, Any], kind: str, healthy: Mapping[str, str]) -> Finding:
    metadata = item["metadata"]
    about = f"{kind} {metadata['namespace']}/{metadata['name']}"
    described = {"connection": "orchestratorconnection", "pool": "agentdeployment"}[kind]
    look = f"kubectl -n {metadata['namespace']} describe {described} {metadata['name']}"
    told = (item.get("status") or {}).get("conditions") or ()
    if not told:
        return wrong(about, "no operator has looked at it", "see that one is at work")
    for one in told:
        if healthy.get(one["type"], one["status"]) != one["status"]:
            found = f"{one['type']}={one['status']} ({one['reason']}): {one['message']}"
            return wrong(about, found, look)
    return fine(about, "it is well")
