"""An orchestrator that takes connections and never answers, among the others of an operator."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import cast

import pytest

from fakes.kube_memory import KubeMemory
from fakes.recording_backend import RecordingBackend
from fakes.told_link import ToldLink
from fakes.waiting import eventually
from paddock_operator.autoscale.policy import policy_for
from paddock_operator.backends.kubernetes.learned import LearnedStates
from paddock_operator.backends.kubernetes.managed_pool import ManagedPool
from paddock_operator.backends.kubernetes.operator import WORKERS, Operator
from paddock_operator.model.parse import parse_manifest
from paddock_operator.observe.metrics import Metrics, PoolKey
from paddock_operator.reconcile.clock import CLOCK
from paddock_operator.reconcile.reconciler import Link, Reconciler, rest_after
from paddock_operator.signals.link import OrchestratorLink
from unit.model.manifests import SMALLEST

FROZEN = 3 * WORKERS
MANIFEST = parse_manifest(SMALLEST)


class Pool:
    """A pool's reconciler, and when it made its passes."""

    def __init__(self, link: Link) -> None:
        policy = policy_for(MANIFEST, None)
        self._reconciler = Reconciler(MANIFEST, RecordingBackend(), link, policy)
        self.passes: list[float] = []

    async def reconcile(self) -> float | None:
        self.passes.append(time.monotonic())
        last = await self._reconciler.reconcile()
        return rest_after(last.plan, CLOCK.wall())


@pytest.fixture
def frozen_url() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0), backlog=200) as frozen:
        yield f"http://127.0.0.1:{frozen.getsockname()[1]}"


@contextlib.asynccontextmanager
async def at_work(pools: dict[str, Pool], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """An operator's workers on these pools."""
    kube = KubeMemory()
    operator = Operator(kube.client, Metrics(CLOCK.wall), LearnedStates(kube.client, "n"))

    async def told(key: PoolKey, pool: ManagedPool) -> float | None:
        return None

    monkeypatch.setattr(operator._teller, "tell", told)
    for name, pool in pools.items():
        operator._pools[PoolKey("n", name)] = cast("ManagedPool", pool)
        operator._queue.add(PoolKey("n", name))
    workers = [asyncio.create_task(operator._work()) for _ in range(WORKERS)]
    try:
        yield
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.wait(workers)


async def test_it_does_not_hold_up_the_pools_of_others(
    frozen_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = OrchestratorLink(frozen_url, "sk_one")
    following = asyncio.create_task(link.follow(lambda _: None))
    healthy = Pool(ToldLink("", "", None))
    pools = {f"frozen{n}": Pool(link) for n in range(FROZEN)} | {"healthy": healthy}
    try:
        async with at_work(pools, monkeypatch):
            await eventually(lambda: link.problem, what="a problem")
            before = len(healthy.passes)
            enough: Callable[[], bool] = lambda: len(healthy.passes) >= before + 10  # noqa: E731
            # Ten seconds' worth. Held up, each would wait for three requests in turn: 150 s in all.
            await eventually(enough, what="a pass in each second")
    finally:
        following.cancel()
        await asyncio.wait([following])
        await link.close()
