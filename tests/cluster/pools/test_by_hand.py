"""What people do with kubectl, and a pool that sleeps."""

import asyncio

import pytest

from fakes.operated import POOL, Operated
from fakes.waiting import eventually
from testbed.cluster import Cluster

pytestmark = [pytest.mark.api, pytest.mark.timeout(400)]


async def test_kubectl_scale_sets_the_size_and_its_removal_gives_it_back(
    world: Operated, cluster: Cluster
) -> None:
    await world.apply()
    await world.settled(1)
    await _kubectl(world, cluster, "scale", f"agentdeployment/{POOL}", "--replicas=3")
    await world.settled(3)
    await world.condition("ScalingActive", "False", "Manual")
    shown = await _kubectl(
        world, cluster, "get", "agd", POOL, "-o", "jsonpath={.status.replicas} {.status.selector}"
    )
    assert shown == f"3 paddock.dev/pool={POOL}"

    remove = '[{"op": "remove", "path": "/spec/replicas"}]'
    await _kubectl(world, cluster, "patch", "agd", POOL, "--type=json", "-p", remove)
    await world.condition("ScalingActive", "True")
    status = await world.status()
    assert status["desiredRunners"] == 3
    assert "too little was seen yet" in status["scaling"]["reason"]


async def test_a_pool_sleeps_and_its_first_call_wakes_it(world: Operated) -> None:
    await world.apply(scaling={"minRunners": 0, "scaleToZero": {"afterSeconds": 2}})
    await world.settled(0)
    await world.declared()  # a pool that is all right without runners may not be known there yet
    call = await world.call()
    assert len(await world.pods()) == 1
    await call.ask("two")
    await call.hang_up()
    await world.settled(0, within_s=60)


async def test_paused_keeps_the_size_until_it_is_resumed(world: Operated) -> None:
    await world.apply(replicas=2)
    await world.settled(2)
    await world.patch({"paused": "Everything", "replicas": 1})
    await world.condition("Progressing", "False", "Paused")
    assert len(await world.pods()) == 2
    await world.patch({"paused": "None"})
    await world.settled(1)


async def test_a_drain_that_somebody_garbled_is_begun_anew_and_cuts_nothing(
    world: Operated, cluster: Cluster
) -> None:
    await world.apply(replicas=2)
    await world.settled(2)
    calls = await world.calls_on_two_runners()
    await world.patch({"replicas": 1})
    await world.draining("ScaleDown")
    await world.patch({"replicas": 2})
    await world.settled(2)
    await world.patch({"replicas": 1})
    leaving = (await world.draining("ScaleDown"))["metadata"]

    told = int(leaving["annotations"]["paddock.dev/drain-epoch"])
    async with world.caller() as client:

        async def obeyed() -> bool:
            known = {r.runner_id: r for r in await client.runners.list(POOL)}
            return known[leaving["name"]].drain_epoch == told

        await eventually(obeyed, what="a runner that obeys")

    garbled = ["paddock.dev/drain-epoch=soon", "paddock.dev/mode=never", "--overwrite"]
    await _kubectl(world, cluster, "annotate", "pod", leaving["name"], *garbled)

    async def begun_anew() -> bool:
        notes = (await world.pods())[leaving["name"]]["metadata"]["annotations"]
        epoch: str = notes["paddock.dev/drain-epoch"]
        return epoch.isdecimal() and int(epoch) > told

    await eventually(begun_anew, what="an intent beyond what the runner obeys")
    for call in calls:
        await call.ask("two")
        await call.hang_up()
    await world.settled(1)


async def test_runners_left_behind_by_their_pool_are_taken_over_by_the_next_of_its_name(
    world: Operated, cluster: Cluster
) -> None:
    await world.apply(replicas=2)
    pods = await world.settled(2)
    call = await world.call()
    await _kubectl(world, cluster, "delete", "agd", POOL, "--cascade=orphan")
    await call.ask("two")
    await world.apply(replicas=2)
    await world.settled(2)
    after = await world.pods()  # those of before may not have been taken over yet

    owner = (await world.pool())["metadata"]["uid"]
    assert {p["metadata"]["ownerReferences"][0]["uid"] for p in after.values()} == {owner}
    assert {p["metadata"]["uid"] for p in after.values()} == {
        p["metadata"]["uid"] for p in pods.values()
    }
    await call.ask("three")
    await call.hang_up()


async def test_describe_tells_the_story(world: Operated, cluster: Cluster) -> None:
    await world.apply()
    await world.settled(1)
    await world.apply(template=world.template("2"))

    async def replaced() -> bool:
        status = await world.status()
        revision = status["revision"]
        return bool(revision["current"] == revision["updated"] and status["ready"] == 1)

    await eventually(replaced, within_s=60, what="the roll-out")
    await world.settled(1)

    async def told() -> bool:
        story = await _kubectl(world, cluster, "describe", "agd", POOL)
        return all(word in story for word in ("Rollout", "Available", "Drain"))

    await eventually(told, what="the events")


async def _kubectl(world: Operated, cluster: Cluster, *arguments: str) -> str:
    return await asyncio.to_thread(cluster.kubectl_run, "-n", world.namespace, *arguments)
