"""What is under way goes on when the operator, or the API server, was away in the middle of it."""

import asyncio

import pytest

from fakes.operated import Operated, api_server_back
from fakes.waiting import eventually
from testbed.cluster import Cluster
from testbed.control_plane import ControlPlane

pytestmark = [pytest.mark.api, pytest.mark.timeout(400)]

EPOCH, DEADLINE = "paddock.dev/drain-epoch", "paddock.dev/deadline"


async def test_a_drain_is_finished_by_the_next_operator(world: Operated) -> None:
    await world.apply(replicas=2)
    await world.settled(2)
    calls = await world.calls_on_two_runners()
    await world.patch({"replicas": 1})
    before = await world.draining("ScaleDown")
    leaving = before["metadata"]["name"]
    world.operator.kill()
    for call in calls:
        await call.ask("two")
    world.operator.start()
    await eventually(lambda: len(world.operator.said("leadership_acquired")) == 2, within_s=45)

    for call in calls:
        await call.ask("three")
    notes = (await world.pods())[leaving]["metadata"]["annotations"]
    assert notes[EPOCH] == before["metadata"]["annotations"][EPOCH] == "1"
    assert notes[DEADLINE] == before["metadata"]["annotations"][DEADLINE]
    for call in calls:
        if await world.runner_of(call) == leaving:
            await call.hang_up()
    await world.gone(leaving)
    for call in calls:
        if call.channel.is_live():
            await call.ask("four")
            await call.hang_up()


async def test_a_drain_is_called_off_by_the_next_operator_at_a_higher_epoch(
    world: Operated,
) -> None:
    await world.apply(replicas=2)
    pods = await world.settled(2)
    calls = await world.calls_on_two_runners()
    await world.patch({"replicas": 1})
    leaving = (await world.draining("ScaleDown"))["metadata"]["name"]
    world.operator.kill()
    await world.patch({"replicas": 2})
    world.operator.start()

    async def called_off() -> bool:
        return bool((await world.pods())[leaving]["metadata"]["annotations"][EPOCH] == "2")

    await eventually(called_off, within_s=60, what="the drain called off")
    after = await world.settled(2)
    assert {p["metadata"]["uid"] for p in after.values()} == {
        p["metadata"]["uid"] for p in pods.values()
    }
    for call in calls:
        await call.ask("two")
        await call.hang_up()


async def test_calls_begin_and_go_on_while_the_api_server_is_away(
    world: Operated, cluster: Cluster, control_plane: ControlPlane
) -> None:
    await world.apply(replicas=2)
    await world.settled(2)
    old = await world.call()
    await asyncio.to_thread(control_plane.stop_apiserver)
    try:
        await old.ask("two")
        new = await world.call()
    finally:
        await api_server_back(control_plane)
    await old.ask("three")
    await world.patch({"replicas": 1})
    await world.restart_operator_if_it_gave_up()
    await world.draining("ScaleDown", within_s=60)
    await new.ask("two")
    await new.hang_up()
    await old.hang_up()
    await world.settled(1, within_s=60)
