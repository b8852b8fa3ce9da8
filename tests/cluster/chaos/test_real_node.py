"""The same on a real node: pods of our image, real signals, evictions, and operators that die."""

import asyncio
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fakes.chaos import seconds_and_seed
from paddock.client.callers import Script, Tally, play_all
from paddock.client.client import AsyncClient
from testbed.cluster import EXISTING, Cluster
from testbed.waiting import wait_until

if TYPE_CHECKING:
    from cluster_stage import ClusterStage

_DEMO = Path(__file__).parents[3] / "examples" / "demo"
_SECONDS, _SEED = seconds_and_seed()


@pytest.mark.realnode
@pytest.mark.timeout(_SECONDS + 900)
def test_no_call_is_cut_on_a_real_node_while_operators_die_and_pods_are_evicted(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(EXISTING, str(cluster.kubeconfig))
    monkeypatch.syspath_prepend(str(_DEMO))
    from cluster_stage import cluster_stage
    from stage import NAME

    print(f"PADDOCK_CHAOS_S={_SECONDS:g} PADDOCK_CHAOS_SEED={_SEED}")
    with cluster_stage(print) as stage:
        wait_until("a runner", lambda: _ready(stage), within_s=120)
        tally = asyncio.run(_bear(stage, NAME, random.Random(_SEED)))
        print(f"calls: {tally.summary()}, evictions: {stage.evictions}")
        assert (tally.cut, tally.lost) == (0, 0), tally.summary()
        assert tally.completed > tally.offered / 2, tally.summary()
        assert set(stage.evictions) <= {429}, "no runner may be evicted"


def _ready(stage: "ClusterStage") -> bool:
    return any(_is_ready(pod["status"]) for pod in stage.pods())


def _is_ready(status: dict[str, list[dict[str, str]]]) -> bool:
    kinds = {c["type"]: c["status"] for c in status.get("conditions", ())}
    return kinds.get("Ready") == "True"


async def _bear(stage: "ClusterStage", agent: str, rng: random.Random) -> Tally:
    tally, context = Tally(), stage.context
    async with AsyncClient(context.private_key, context.url) as client:
        doing = [
            asyncio.create_task(_kill_operators(stage, rng)),
            asyncio.create_task(_evict(stage)),
            asyncio.create_task(_roll_out(stage)),
        ]
        arrivals = sorted(rng.uniform(0, _SECONDS) for _ in range(int(_SECONDS)))
        script = Script(hold_s=8.0, answer_timeout_s=60)
        await play_all(client, agent, arrivals, script, tally)
        for each in doing:
            each.cancel()
        for ended in await asyncio.gather(*doing, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
    return tally


async def _kill_operators(stage: "ClusterStage", rng: random.Random) -> None:
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{stage.namespace}/leases/paddock-operator"
    while True:
        await asyncio.sleep(rng.uniform(2, 10))
        await asyncio.to_thread(stage.kill_operator)
        # The next one need not wait for the end of a dead one's lease.
        await asyncio.to_thread(stage.cluster.client.ask, "DELETE", lease)


async def _evict(stage: "ClusterStage") -> None:
    """Runners that are under way to being ready may be evicted: no call can be there."""
    while True:
        await asyncio.sleep(4)
        if all(_is_ready(pod["status"]) for pod in await asyncio.to_thread(stage.pods)):
            await asyncio.to_thread(stage.evict_all)


async def _roll_out(stage: "ClusterStage") -> None:
    await asyncio.sleep(_SECONDS / 3)
    await asyncio.to_thread(stage.roll_out)
