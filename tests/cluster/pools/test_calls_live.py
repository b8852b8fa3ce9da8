"""A call lives through whatever is done to its pool, and its runner leaves after it."""

import asyncio

import pytest

from fakes.operated import POOL, Operated, OperatorProcess
from fakes.waiting import eventually
from paddock.client.callers import Script, Tally, play_all

pytestmark = [pytest.mark.api, pytest.mark.timeout(400)]

PASSES = "paddock_operator_reconcile_seconds_count"


async def test_through_a_scale_down(world: Operated) -> None:
    await world.apply(replicas=2)
    await world.settled(2)
    calls = await world.calls_on_two_runners()
    await world.patch({"replicas": 1})
    leaving = (await world.draining("ScaleDown"))["metadata"]["name"]

    for call in calls:
        await call.ask("two")
    for call in calls:
        if await world.runner_of(call) == leaving:
            await call.hang_up()
    await world.gone(leaving)
    await world.settled(1)
    for call in calls:
        if call.channel.is_live():
            await call.ask("three")
            await call.hang_up()


async def test_through_a_rollout_whose_old_runner_leaves_after_its_call(world: Operated) -> None:
    await world.apply()
    (old,) = await world.settled(1)
    call = await world.call()
    await world.apply(template=world.template("2"))
    await world.draining("Rollout")

    pods = await world.pods()
    assert old in pods
    assert len(pods) == 2, "the new one was there first"
    await call.ask("two")
    assert "deletionTimestamp" not in (await world.pods())[old]["metadata"]
    await call.hang_up()
    await world.gone(old)
    await world.settled(1)

    async def over() -> bool:
        revision = (await world.status())["revision"]
        return bool(revision["current"] == revision["updated"])

    await eventually(over, what="the end of the roll-out")


async def test_through_kill_9_of_the_orchestrator(world: Operated) -> None:
    await world.apply(replicas=2)
    pods = await world.settled(2)
    calls = await world.calls_on_two_runners()
    world.server.kill()
    await world.server.start()

    for call in calls:
        await call.ask("two", within_s=45)
    await world.condition("OrchestratorReachable", "True")
    after = await world.pods()
    assert {p["metadata"]["uid"] for p in after.values()} == {
        p["metadata"]["uid"] for p in pods.values()
    }
    for call in calls:
        await call.hang_up()


async def test_a_call_holds_the_deletion_of_its_pool(world: Operated) -> None:
    await world.apply()
    await world.settled(1)
    call = await world.call()
    await world.client.delete(world.path)
    await world.draining("PoolDeleted")

    await call.ask("two")
    assert "paddock.dev/drain" in (await world.pool())["metadata"]["finalizers"]
    await call.hang_up()

    async def gone() -> bool:
        pools = (await world.client.list(world.path.rpartition("/")[0])).items
        return not pools and not await world.pods()

    await eventually(gone, within_s=45, what="the end of the pool and its pods")


async def test_two_operators_at_once_create_no_more_and_cut_nothing(world: Operated) -> None:
    """A lease of its own lets the second one work beside the first, which leases are to prevent."""
    options = ("--lease-namespace", "default")
    other = OperatorProcess(world.folder, world.kubeconfig, world.namespace, "operator-2", *options)
    other.start()
    try:
        await world.apply()
        await world.settled(1)
        await eventually(
            lambda: other.said("leadership_acquired"), within_s=45, what="a second leader"
        )
        tally, most = Tally(), 0
        before = await other.counted(PASSES)

        async def look() -> bool:
            nonlocal most
            most = max(most, await world.live())
            return loading.done()

        async with world.caller() as client:
            script = Script(lines=("Hello!", "Bye then."), hold_s=3, answer_timeout_s=60)
            arrivals = [n * 0.5 for n in range(40)]
            loading = asyncio.create_task(play_all(client, POOL, arrivals, script, tally))
            await eventually(look, within_s=150, what="the end of the load")
            await loading
        assert (tally.cut, tally.lost, tally.failed) == (0, 0, 0), tally.summary()
        assert tally.completed >= 20, tally.summary()
        assert most <= 4 + 1
        await world.settled(1, within_s=60)
        assert await other.counted(PASSES) > before, "the second one worked, too"
    finally:
        other.kill()
