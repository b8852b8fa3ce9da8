"""Pools share the places for requests to the API server."""

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import web

from fakes.kube_api import FakeKubeApi
from fakes.waiting import PATIENCE_S, eventually
from paddock.protocol.words import Mode
from paddock_operator.backends.kubernetes.backend import KubernetesBackend
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.pod_store import PodStore
from paddock_operator.backends.kubernetes.transport import IN_FLIGHT, SHARE
from paddock_operator.backends.kubernetes.words import MANAGED_BY, MANAGER, POOL
from paddock_operator.model.resource import ObjectMeta
from paddock_operator.plan.actions import WriteIntent
from paddock_operator.plan.view import DrainReason, Intent

PODS = "/api/v1/namespaces/n/pods"
DRAIN = Intent(1, Mode.DRAIN, DrainReason.SCALE_DOWN, 5.0, 65.0)


def _pod(pool: str, name: str) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "n", "uid": f"uid-{name}", "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {POOL: pool, MANAGED_BY: MANAGER},
            "ownerReferences": [{"uid": f"uid-{pool}", "controller": True}],
        },
        "spec": {"nodeName": "a"}, "status": {"phase": "Running"},
    }  # fmt: skip


class Pool:
    def __init__(self, client: KubeClient, store: PodStore, name: str, pods: int) -> None:
        self.backend = KubernetesBackend(
            client, store, ObjectMeta(name, "n", f"uid-{name}", 1, "1"),
            make=lambda revision, slot: None, cordoned=lambda node: False,
        )  # fmt: skip
        self._names = [f"{name}-{n}" for n in range(pods)]
        for pod in self._names:
            store.learn(_pod(name, pod))
        self.backend.observe()

    async def drain(self) -> list[bool]:
        writes = (WriteIntent(pod, Intent(), DRAIN) for pod in self._names)
        return await asyncio.gather(*map(self.backend.write_intent, writes))


async def test_many_writes_of_one_pool_do_not_keep_another_ones_back(tmp_path: Path) -> None:
    released = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        pool, _, _ = request.match_info["path"].rpartition("/")[2].partition("-")
        if pool == "large":
            await released.wait()
        return web.json_response(_pod(pool, request.path.rpartition("/")[2]))

    async with FakeKubeApi() as api, KubeClient.connect(api.kubeconfig(tmp_path)) as client:
        api.handler = answer
        store = PodStore(client, PODS, lambda pool: None)
        large, small = Pool(client, store, "large", 100), Pool(client, store, "small", 1)
        draining = asyncio.create_task(large.drain())
        await eventually(lambda: len(api.asked) == SHARE)
        async with asyncio.timeout(PATIENCE_S):
            assert await small.drain() == [True]
        assert len(api.asked) == SHARE + 1 <= IN_FLIGHT
        released.set()
        assert all(await draining)
