"""What a cluster does to runners: evictions, cordoned nodes, crashes."""

import os
import signal

import pytest

from fakes.operated import Operated
from fakes.waiting import eventually
from testbed.cluster import Cluster

pytestmark = [pytest.mark.api, pytest.mark.timeout(400)]


async def test_no_runner_can_be_evicted_whether_busy_or_idle(
    world: Operated, cluster: Cluster
) -> None:
    await world.apply(replicas=2)
    pods = await world.settled(2)
    call = await world.call()
    budget = (
        f"/apis/policy/v1/namespaces/{world.namespace}/poddisruptionbudgets/paddock-agents-hold"
    )

    async def counted() -> bool:
        found = await world.client.get(budget)
        return bool(found.get("status", {}).get("currentHealthy", 0) >= 2)

    await eventually(counted, within_s=45, what="the disruption controller's count")
    for name in pods:
        body = {
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": name, "namespace": world.namespace},
        }  # fmt: skip
        answer = cluster.client.ask("POST", f"{world.pods_path}/{name}/eviction", body)
        assert answer.status == 429, answer
        assert "disruption budget" in answer.message
    await call.ask("two")
    await call.hang_up()


async def test_a_cordoned_node_drains_its_runners_and_they_are_not_taken_back(
    world: Operated,
) -> None:
    await world.apply()
    (old,) = await world.settled(1)
    call = await world.call()
    node = f"/api/v1/nodes/{world.node}"
    await world.client.merge_patch(node, {"spec": {"unschedulable": True}})
    before = await world.draining("NodeCordon")
    assert before["metadata"]["name"] == old

    await world.client.merge_patch(node, {"spec": {"unschedulable": None}})
    await world.patch({"replicas": 2})

    async def replaced() -> bool:
        return (await world.status()).get("ready") == 2

    await eventually(replaced, within_s=45, what="two runners on the node that is back")
    notes = (await world.pods())[old]["metadata"]["annotations"]
    assert notes == before["metadata"]["annotations"], "it was not taken back"
    await call.ask("two")
    await call.hang_up()
    await world.gone(old)
    await world.settled(2)


async def test_a_killed_runner_loses_its_own_calls_at_once_and_is_replaced(
    world: Operated,
) -> None:
    await world.apply(replicas=2)
    pods = await world.settled(2)
    first, second = await world.calls_on_two_runners()
    name = await world.runner_of(first)
    uid = pods[name]["metadata"]["uid"]
    os.kill(world.kubelet.pid_of(uid), signal.SIGKILL)

    assert (await first.ended(within_s=20)).reason == "runner_lost"
    await second.ask("two")

    async def replaced() -> bool:
        uids = {pod["metadata"]["uid"] for pod in (await world.pods()).values()}
        return uid not in uids and (await world.status()).get("ready") == 2

    await eventually(replaced, within_s=45, what="a replacement")
    await second.hang_up()


async def test_runners_that_crash_make_it_degraded_and_are_not_created_again_and_again(
    world: Operated,
) -> None:
    broken = ["python", "-c", "import sys; sys.exit(3)"]
    await world.apply(template=world.template("1", broken), failure={"backoffSeconds": 4})

    said = await world.condition("Degraded", "True", "CrashLooping")
    assert "logs" in said["message"]

    async def twice() -> bool:
        return _created(world) >= 2

    await eventually(twice, within_s=45, what="a second try")
    assert _created(world) <= 3
    await world.apply(template=world.template("2"))
    await world.settled(1)
    await world.condition("Degraded", "False")


def _created(world: Operated) -> int:
    return sum(int(line["count"]) for line in world.operator.said("creating"))
