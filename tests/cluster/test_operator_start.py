"""An operator before an API server that does not serve it well."""

from pathlib import Path

import pytest

from fakes.chaos import chaotic
from fakes.fault_proxy import FaultProxy
from fakes.operated import OperatorProcess
from fakes.waiting import eventually
from testbed.cluster import Cluster

pytestmark = pytest.mark.api


async def test_without_its_resources_being_served_it_ends_and_says_so(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    async with FaultProxy(cluster.kubeconfig, tmp_path, 0) as proxy:
        proxy.unserved = "/apis/paddock.dev/v1alpha1"
        operator = OperatorProcess(tmp_path, proxy.kubeconfig, namespace, "operator")
        operator.start()
        try:
            assert await operator.exited(within_s=60) == 1
        finally:
            operator.kill()
    assert "serves no agentdeployments and no orchestratorconnections" in operator.text()


async def test_the_lease_is_renewed_while_creates_are_slow_and_many(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    async with chaotic(cluster.kubeconfig, namespace, tmp_path, 0) as world:
        world.proxy.create_s = 9.0
        scaling = {"minRunners": 0, "maxRunners": 80, "scaleUp": {"maxStarting": 80}}
        await world.apply(replicas=80, scaling=scaling)
        await eventually(lambda: world.proxy.creating > 8, within_s=60, what="many creates")
        lease = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/paddock-operator"
        seen: set[str] = set()

        async def renewed() -> bool:
            seen.add((await world.client.get(lease))["spec"]["renewTime"])
            return len(seen) > 3

        # They are 2 s apart. If they had to wait for creates, three would take 27 s.
        await eventually(renewed, within_s=24, what="three renewals")
