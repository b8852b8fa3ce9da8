"""A pool of a cluster grows and shrinks with its calls, and by hand."""

import asyncio

import pytest

from fakes.operated import POOL, Operated, quiet
from fakes.waiting import eventually
from paddock.client.callers import Script, Tally, play_all
from paddock_operator.model.conditions import ConditionType
from testbed.cluster import Cluster

pytestmark = [pytest.mark.api, pytest.mark.timeout(400)]


async def test_a_pool_is_at_its_minimum_and_its_status_tells_everything(
    world: Operated, cluster: Cluster
) -> None:
    await world.apply()
    await world.settled(1)
    await world.condition("Available", "True")

    status = await world.status()
    assert {one["type"] for one in status["conditions"]} == {
        str(kind) for kind in ConditionType if kind is not ConditionType.READY
    }
    assert status["desiredRunners"] == 1
    assert status["selector"] == f"paddock.dev/pool={POOL}"
    shown = await asyncio.to_thread(
        cluster.kubectl_run, "get", "agentdeployment", POOL, "-n", world.namespace
    )
    head, row = (line.split() for line in shown.splitlines())
    assert head[:5] == ["NAME", "DESIRED", "READY", "IDLE", "DRAINING"]
    assert row[:5] == [POOL, "1", "1", "1", "0"]
    assert "True" in row


async def test_a_burst_makes_it_grow_and_afterwards_it_shrinks_with_no_call_cut(
    world: Operated,
) -> None:
    await world.apply()
    await world.settled(1)
    tally = Tally()
    async with world.caller() as client:
        # Long enough for all of them to be there when the operator looks, however slow it is.
        script = Script(lines=("Hello!", "Bye then."), hold_s=15, answer_timeout_s=60)
        await play_all(client, POOL, [n * 0.1 for n in range(7)], script, tally)

    assert tally.summary()["completed"] == 7, tally.summary()
    assert (tally.cut, tally.lost, tally.failed) == (0, 0, 0)
    await world.settled(1, within_s=60)
    created = sum(line["count"] for line in world.operator.said("creating"))
    assert created >= 4, "it grew"


async def test_drains_are_called_off_before_a_runner_is_created(world: Operated) -> None:
    await world.apply(replicas=2)
    pods = await world.settled(2)
    calls = await world.calls_on_two_runners()
    await world.patch({"replicas": 1})
    leaving = await world.draining("ScaleDown")
    assert leaving["metadata"]["annotations"]["paddock.dev/drain-epoch"] == "1"

    await world.patch({"replicas": 2})

    async def called_off() -> bool:
        pod = (await world.pods())[leaving["metadata"]["name"]]
        return bool(pod["metadata"]["annotations"]["paddock.dev/drain-epoch"] == "2")

    await eventually(called_off, within_s=45)
    after = await world.settled(2)

    assert {p["metadata"]["uid"] for p in after.values()} == {
        p["metadata"]["uid"] for p in pods.values()
    }
    notes = after[leaving["metadata"]["name"]]["metadata"]["annotations"]
    assert notes["paddock.dev/mode"] == "serve"
    assert "paddock.dev/deadline" not in notes
    for call in calls:
        await call.ask("two")
        await call.hang_up()


async def test_an_idle_pool_is_not_written_to(world: Operated) -> None:
    await world.apply()
    await world.settled(1)

    async def versions() -> list[str]:
        objects = [await world.pool(), *(await world.pods()).values()]
        return [each["metadata"]["resourceVersion"] for each in objects]

    async def same_for_a_while() -> bool:
        before = await versions()
        await asyncio.sleep(3)
        return before == await versions()

    async def recommends() -> bool:
        """Once, when arrivals were counted for a minute: the last that there is to tell."""
        return "recommendedWarmSessions" in (await world.status())["scaling"]

    while not await same_for_a_while():
        pass
    recommended = await recommends()
    try:
        await quiet(world, 25, versions)
    except AssertionError:
        assert not recommended
        assert await recommends()
        await quiet(world, 25, versions)


async def test_a_status_that_somebody_else_wrote_is_put_right(world: Operated) -> None:
    await world.apply()
    await world.settled(1)
    await world.client.merge_patch(world.path, {"status": {"ready": 99}}, subresource="status")

    async def right() -> bool:
        return bool((await world.status())["ready"] == 1)

    await eventually(right, within_s=45, what="the operator's own count")
