"""Two who want to lead, and a Lease of a real API server."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from fakes.waiting import eventually
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.election import Timing
from paddock_operator.backends.kubernetes.lease import Leadership, LeadershipLost
from testbed.cluster import Cluster
from testbed.control_plane import ControlPlane

pytestmark = pytest.mark.api

_TIMING = Timing(lease_s=40.0, renew_deadline_s=30.0, retry_s=0.3)
_SHORT = Timing(lease_s=9.0, renew_deadline_s=5.0, retry_s=0.3)
"""Where a lease has to end by itself."""


def _candidate(client: KubeClient, namespace: str, identity: str, **more: Any) -> Leadership:
    return Leadership(client, namespace, "operator", identity, **{"timing": _TIMING, **more})


def _spec(cluster: Cluster, namespace: str) -> dict[str, Any]:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/operator"
    spec: dict[str, Any] = cluster.client.get(path)["spec"]
    return spec


async def test_the_first_leads_and_keeps_renewing(
    kube: KubeClient, cluster: Cluster, namespace: str
) -> None:
    async with _candidate(kube, namespace, "one") as leadership:
        first = _spec(cluster, namespace)
        await eventually(lambda: _spec(cluster, namespace)["renewTime"] != first["renewTime"])
        assert leadership.held
        last = _spec(cluster, namespace)

    assert first["holderIdentity"] == last["holderIdentity"] == "one"
    assert first["acquireTime"] == last["acquireTime"]
    assert _spec(cluster, namespace)["holderIdentity"] == ""


async def test_a_release_lets_the_second_lead_at_once(
    kube: KubeClient, cluster: Cluster, namespace: str
) -> None:
    loop = asyncio.get_running_loop()
    second = _candidate(kube, namespace, "two")
    async with AsyncExitStack() as stack:
        async with _candidate(kube, namespace, "one"):
            waiting = asyncio.create_task(stack.enter_async_context(second))
            await eventually(lambda: second.holder == "one")
        released_at = loop.time()
        await waiting

        assert loop.time() - released_at < _TIMING.lease_s / 2
        assert _spec(cluster, namespace)["holderIdentity"] == "two"
        assert _spec(cluster, namespace)["leaseTransitions"] == 1


class _Deaf(KubeClient):
    """Does not hear the answer of the next write, though the server does what it says."""

    deaf = False

    async def merge_patch(
        self, path: str, body: dict[str, Any], *, subresource: str = ""
    ) -> dict[str, Any]:
        answer = await super().merge_patch(path, body, subresource=subresource)
        if self.deaf:
            self.deaf = False
            await asyncio.Event().wait()
        return answer


async def test_it_is_released_though_the_last_renewals_answer_was_not_heard(
    cluster: Cluster, namespace: str
) -> None:
    async with _Deaf.connect(cluster.kubeconfig) as client:
        async with _candidate(client, namespace, "one"):
            client.deaf = True
            await eventually(lambda: not client.deaf)

        assert _spec(cluster, namespace)["holderIdentity"] == ""


class _Frozen(KubeClient):
    """A client whose requests are never answered while `frozen`: its process was stopped."""

    frozen = False

    async def merge_patch(
        self, path: str, body: dict[str, Any], *, subresource: str = ""
    ) -> dict[str, Any]:
        if self.frozen:
            await asyncio.Event().wait()
        return await super().merge_patch(path, body, subresource=subresource)


async def test_a_frozen_leader_gives_up_before_the_second_leads(
    kube: KubeClient, cluster: Cluster, namespace: str
) -> None:
    loop = asyncio.get_running_loop()
    lost_at = 0.0
    second = _candidate(kube, namespace, "two", timing=_SHORT)
    async with _Frozen.connect(cluster.kubeconfig) as client, AsyncExitStack() as stack:
        with pytest.raises(LeadershipLost):  # noqa: PT012
            async with _candidate(client, namespace, "one", timing=_SHORT):
                waiting = asyncio.create_task(stack.enter_async_context(second))
                await eventually(lambda: second.holder == "one")
                client.frozen = True
                try:
                    await asyncio.Event().wait()
                finally:
                    lost_at = loop.time()
        assert not second.held
        await waiting

        assert loop.time() > lost_at
        assert _spec(cluster, namespace)["holderIdentity"] == "two"


async def test_a_server_that_is_away_for_longer_than_the_deadline_ends_leadership(
    kube: KubeClient, namespace: str, control_plane: ControlPlane
) -> None:
    with pytest.raises(LeadershipLost, match="not renewed in time"):  # noqa: PT012
        async with _candidate(kube, namespace, "one", timing=_SHORT):
            stopping = asyncio.create_task(asyncio.to_thread(control_plane.stop_apiserver))
            await asyncio.Event().wait()
    # Leadership may be lost while the server is still ending: nothing is mended before it has.
    await stopping


async def test_a_short_absence_of_the_server_is_survived(
    kube: KubeClient, cluster: Cluster, namespace: str, control_plane: ControlPlane
) -> None:
    timing = Timing(lease_s=200.0, renew_deadline_s=150.0, retry_s=0.3)
    async with _candidate(kube, namespace, "one", timing=timing) as leadership:
        control_plane.stop_apiserver()
        control_plane.start_apiserver()
        before = _spec(cluster, namespace)["renewTime"]
        await eventually(lambda: _spec(cluster, namespace)["renewTime"] != before)

        assert leadership.held


async def test_a_lease_that_was_taken_or_deleted(
    kube: KubeClient, cluster: Cluster, namespace: str
) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/operator"
    with pytest.raises(LeadershipLost, match="usurper"):  # noqa: PT012
        async with _candidate(kube, namespace, "one") as leadership:
            cluster.client.delete(path)
            await eventually(lambda: cluster.client.ask("GET", path).ok)
            assert leadership.held
            cluster.client.merge(path, {"spec": {"holderIdentity": "usurper"}})
            await asyncio.Event().wait()

    assert _spec(cluster, namespace)["holderIdentity"] == "usurper"
