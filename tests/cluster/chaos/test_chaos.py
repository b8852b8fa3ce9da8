"""Whatever is killed, frozen, refused or restarted: no call is cut, and no runner is too much.

`PADDOCK_CHAOS_S=600` makes it longer, `PADDOCK_CHAOS_SEED` repeats what a run has printed.
"""

import random
from pathlib import Path

import pytest

from fakes.chaos import RUNNERS, SURGE, chaotic, seconds_and_seed
from testbed.cluster import Cluster
from testbed.control_plane import ControlPlane

_SECONDS, _SEED = seconds_and_seed()

pytestmark = [pytest.mark.api, pytest.mark.timeout(_SECONDS + 600)]


async def test_no_call_is_cut_and_no_runner_too_many_is_made_whatever_fails(
    cluster: Cluster, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    print(f"PADDOCK_CHAOS_S={_SECONDS:g} PADDOCK_CHAOS_SEED={_SEED}")
    rng = random.Random(_SEED)
    async with chaotic(cluster.kubeconfig, namespace, tmp_path, _SEED) as world:
        await world.apply(scaling={"maxRunners": RUNNERS}, rollout={"maxSurge": SURGE})
        await world.settled(1, within_s=120)
        every_s = max(20.0, _SECONDS / 20)
        doings = [
            world.kill_operators(0, random.Random(rng.random())),
            world.kill_operators(1, random.Random(rng.random())),
            world.restart_orchestrator(every_s, random.Random(rng.random())),
            world.restart_apiserver(control_plane, 1.5 * every_s, random.Random(rng.random())),
            world.resize(8.0, random.Random(rng.random())),
            world.roll_out(1.25 * every_s, random.Random(rng.random())),
        ]
        tally = await world.bear(doings, seconds=_SECONDS, rng=rng)
        took_s = await world.converged(2, within_s=120)

        summary = tally.summary()
        print(f"calls: {summary}")
        print(f"done: {dict(world.happened)}, faults: {dict(world.proxy.done)}")
        print(f"most runners at once: {world.pod_count.most}; at rest after {took_s:.1f} s")
        busy = [one for one in world.stub.said("sigterm") if one["held"]]
        assert busy == [], "runners that held calls were ended"
        assert (tally.cut, tally.lost) == (0, 0), summary
        # Who hung up while the orchestrator was away was not told of the end; it came all the same.
        ends = await world.ends()
        assert all(reason == "completed" for reason, _ in ends.values()), ends
        assert world.pod_count.most <= RUNNERS + SURGE
        assert tally.completed > tally.offered / 10, summary
