"""What a pool owns beside its pods, on a real API server."""

import pytest

from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.owned import hold_budget, keep_revision
from paddock_operator.backends.kubernetes.words import HOLD_BUDGET, pools_path
from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.model.resource import ObjectMeta, parse_resource

pytestmark = pytest.mark.api


async def pool(kube: KubeClient, namespace: str) -> tuple[ObjectMeta, AgentDeployment]:
    body = {
        "apiVersion": "paddock.dev/v1alpha1",
        "kind": "AgentDeployment",
        "metadata": {"name": "desk", "namespace": namespace},
        "spec": {
            "sessionsPerRunner": 2,
            "template": {"spec": {"containers": [{"name": "agent", "image": "none"}]}},
        },
    }
    made = parse_resource((await kube.create(pools_path(namespace), body)).object)
    assert isinstance(made.parsed, AgentDeployment)
    return made.meta, made.parsed


async def revisions(kube: KubeClient, namespace: str) -> dict[str, int]:
    path = f"/apis/apps/v1/namespaces/{namespace}/controllerrevisions"
    items = (await kube.list(path)).items
    return {item["metadata"]["name"]: int(item["revision"]) for item in items}


async def test_a_revision_that_comes_back_is_the_newest_again(
    kube: KubeClient, namespace: str
) -> None:
    owner, manifest = await pool(kube, namespace)
    for revision in ("aaaa", "bbbb", "aaaa", "aaaa"):
        await keep_revision(kube, owner, manifest, revision, limit=5)
    assert await revisions(kube, namespace) == {"desk-aaaa": 3, "desk-bbbb": 2}


async def test_no_more_older_revisions_are_kept_than_wanted(
    kube: KubeClient, namespace: str
) -> None:
    owner, manifest = await pool(kube, namespace)
    for revision in ("aaaa", "bbbb", "cccc", "dddd"):
        await keep_revision(kube, owner, manifest, revision, limit=2)
    assert set(await revisions(kube, namespace)) == {"desk-bbbb", "desk-cccc", "desk-dddd"}


async def test_the_hold_budget_can_be_asked_for_again(kube: KubeClient, namespace: str) -> None:
    for _ in range(2):
        await hold_budget(kube, namespace)
    path = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/{HOLD_BUDGET}"
    assert (await kube.get(path))["spec"]["minAvailable"] == 2_147_483_647
