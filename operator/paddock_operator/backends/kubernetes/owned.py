"""What a pool owns beside its pods: the namespace's disruption budget and its revisions."""

import contextlib
from typing import Any

from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.errors import AlreadyExists, Conflict, NotFound
from paddock_operator.backends.kubernetes.words import (
    HELD,
    HOLD,
    HOLD_BUDGET,
    MANAGED_BY,
    MANAGER,
    POOL,
    REVISION,
)
from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.model.resource import ObjectMeta

MORE_THAN_ANY = 2_147_483_647
"""An integer above any number of pods: with it an eviction is refused in every case, also for pods
that are not ready and for owners without a scale."""
HOLD_SELECTOR: dict[str, Any] = {"matchLabels": {HOLD: HELD}}


async def hold_budget(client: KubeClient, namespace: str) -> None:
    """See that no pod with the hold label can be evicted."""
    path = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/{HOLD_BUDGET}"
    await client.apply(
        path,
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {
                "name": HOLD_BUDGET,
                "namespace": namespace,
                "labels": {MANAGED_BY: MANAGER},
            },
            "spec": {
                "minAvailable": MORE_THAN_ANY,
                "selector": HOLD_SELECTOR,
            },
        },
        manager=MANAGER,
    )


async def keep_revision(
    client: KubeClient, owner: ObjectMeta, manifest: AgentDeployment, revision: str, *, limit: int
) -> None:
    """Keep the template of this revision as the newest, and `limit` older ones."""
    path = _revisions_path(owner)
    kept = await _revisions(client, owner)
    kept.sort(key=lambda item: int(item["revision"]))
    name = f"{owner.name}-{revision}"
    newest = int(kept[-1]["revision"]) if kept else 0
    mine = next((item for item in kept if item["metadata"]["name"] == name), None)
    if mine is not None and int(mine["revision"]) < newest:
        # Its data is immutable down to the byte, which no patch keeps: it is made anew.
        with contextlib.suppress(NotFound):
            await client.delete(f"{path}/{name}", uid=mine["metadata"]["uid"])
        mine = None
    if mine is None:
        with contextlib.suppress(AlreadyExists):
            await client.create(path, _revision(owner, manifest, revision, newest + 1))
    older = [item for item in kept if item["metadata"]["name"] != name]
    for item in older[: max(0, len(older) - limit)]:
        with contextlib.suppress(NotFound, Conflict):
            await client.delete(f"{path}/{item['metadata']['name']}", uid=item["metadata"]["uid"])


async def forget_revisions(client: KubeClient, owner: ObjectMeta) -> None:
    """The pool is no more."""
    for item in await _revisions(client, owner):
        with contextlib.suppress(NotFound, Conflict):
            await client.delete(
                f"{_revisions_path(owner)}/{item['metadata']['name']}", uid=item["metadata"]["uid"]
            )


async def _revisions(client: KubeClient, owner: ObjectMeta) -> list[dict[str, Any]]:
    labels = f"{MANAGED_BY}={MANAGER},{POOL}={owner.name}"
    return (await client.list(_revisions_path(owner), labels=labels)).items


def _revisions_path(owner: ObjectMeta) -> str:
    return f"/apis/apps/v1/namespaces/{owner.namespace}/controllerrevisions"


def _revision(
    owner: ObjectMeta, manifest: AgentDeployment, revision: str, number: int
) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{owner.name}-{revision}",
            "namespace": owner.namespace,
            # By its label only. The garbage collector cannot take an owner's name off one again, as
            # it has to for --cascade=orphan: its data is immutable down to the byte.
            "labels": {MANAGED_BY: MANAGER, POOL: owner.name, REVISION: revision},
        },
        "revision": number,
        "data": {
            "sessionsPerRunner": manifest.spec.sessions_per_runner,
            "template": manifest.spec.template.as_json(),
        },
    }
