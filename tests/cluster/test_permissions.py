"""An operator's own service account, with what the chart grants it, at a real API server."""

from pathlib import Path

import pytest

from fakes.restricted import restricted_kubeconfig
from paddock_operator.backends.kubernetes import words
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.decoding import Object
from paddock_operator.backends.kubernetes.errors import Forbidden
from paddock_operator.backends.kubernetes.permissions import Missing, missing_permissions
from testbed.cluster import Cluster

pytestmark = pytest.mark.api


async def test_an_operator_has_its_lease_and_its_memory_and_nobody_elses(
    kube: KubeClient, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    """It makes what is not there yet, and misses nothing that it asks for."""
    configmaps = f"/api/v1/namespaces/{namespace}/configmaps"
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    await kube.create(leases, {"metadata": {"name": "kept"}})
    way = await restricted_kubeconfig(kube, namespace, cluster, tmp_path)

    async with KubeClient.connect(way) as operator:
        for _ in ("makes it", "has it"):
            await operator.apply(
                f"{configmaps}/{words.LEARNED}", _config_map(words.LEARNED), manager=words.MANAGER
            )
        await operator.create(leases, {"metadata": {"name": words.LEASE}})
        await operator.merge_patch(f"{leases}/{words.LEASE}", {"spec": {"holderIdentity": "me"}})
        missing = await missing_permissions(operator, namespace, namespace)
        with pytest.raises(Forbidden):
            await operator.merge_patch(f"{configmaps}/kube-root-ca.crt", {"data": {"ca.crt": ""}})
        with pytest.raises(Forbidden):
            await operator.get(f"{configmaps}/kube-root-ca.crt")
        with pytest.raises(Forbidden):
            await operator.merge_patch(f"{leases}/kept", {"spec": {"holderIdentity": "me"}})

    assert missing == Missing()


def _config_map(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}}
