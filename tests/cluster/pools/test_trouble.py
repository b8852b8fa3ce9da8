"""What is wrong is said, with what to do about it; what runs is left alone, and nothing spins."""

import contextlib
import copy
import time
from pathlib import Path

import pytest

from fakes.operated import POOL, Operated, OperatorProcess
from fakes.restricted import GRANTED, grant, restricted_kubeconfig
from fakes.waiting import eventually
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.errors import NotFound
from paddock_operator.backends.kubernetes.words import pools_path
from testbed.cluster import Cluster

pytestmark = [pytest.mark.api, pytest.mark.timeout(400)]

REQUESTS = "paddock_operator_apiserver_requests_total"


async def test_a_wrong_key_is_told_of_the_connection_and_its_pools(world: Operated) -> None:
    await world.begin_anew_with("sk_wrong")
    await world.apply()
    said = await world.condition("OrchestratorReachable", "False", "Unauthorized")
    assert "apiKey" in said["message"]
    connection = await world.connection_condition("False", "Unauthorized")
    assert "apiKey" in connection["message"]

    await world.secret(world.server.keys["private"])
    await world.connection(world.server.url)
    await world.settled(1, within_s=60)
    await world.connection_condition("True", "Connected")


async def test_a_secret_that_is_not_there_is_named(world: Operated) -> None:
    await world.begin_anew_with(None)
    await world.apply()
    said = await world.condition("OrchestratorReachable", "False", "Unauthorized")
    assert "'keys'" in said["message"]
    before, began = await world.operator.counted(REQUESTS), time.monotonic()
    await world.connection_condition("False", "MissingSecret")
    await world.secret(world.server.keys["private"])
    await world.settled(1, within_s=60)
    asked = await world.operator.counted(REQUESTS) - before
    assert asked < 200 + 10 * (time.monotonic() - began), (
        "who spins asks hundreds of times a second"
    )


async def test_a_refused_template_leaves_the_pool_alone_until_it_is_mended(
    world: Operated,
) -> None:
    await world.apply()
    (old,) = await world.settled(1)
    call = await world.call()
    refused = copy.deepcopy(world.template("2"))
    refused["spec"]["containers"][0]["ports"] = [{"containerPort": 70000}]
    await world.apply(template=refused)
    said = await world.condition("TemplateAccepted", "False", "Invalid")
    assert "containerPort" in said["message"]
    await call.ask("two")
    assert set(await world.pods()) == {old}

    await world.apply()
    await world.condition("TemplateAccepted", "True")
    assert set(await world.pods()) == {old}
    await call.hang_up()


async def test_the_second_pool_of_an_agent_stands_aside_until_the_first_is_gone(
    world: Operated,
) -> None:
    await world.apply()
    (first,) = await world.settled(1)
    spec = (await world.pool())["spec"] | {"agentId": POOL}
    path = pools_path(world.namespace)
    await world.put("paddock.dev/v1alpha1", "AgentDeployment", path, "another", spec=spec)

    async def said(status: str) -> str:
        conditions = (await world.client.get(f"{path}/another")).get("status", {})
        return next(
            (
                f"{one['reason']} {one['message']}"
                for one in conditions.get("conditions", [])
                if (one["type"], one["status"]) == ("TemplateAccepted", status)
            ),
            "",
        )

    told = await eventually(lambda: said("False"), within_s=45, what="a refusal")
    assert told.startswith("AgentTaken ")
    assert f"{world.namespace}/{POOL}" in told
    assert set(await world.pods()) == {first}

    await world.delete()
    await eventually(lambda: said("True"), within_s=60, what="the agent taken over")
    body = {"metadata": {"finalizers": None}}
    await world.client.delete(f"{path}/another")
    with contextlib.suppress(NotFound):
        await world.client.merge_patch(f"{path}/another", body)


async def test_a_quota_is_told_and_waited_for_without_haste(world: Operated) -> None:
    path = f"/api/v1/namespaces/{world.namespace}/resourcequotas"
    await world.put("v1", "ResourceQuota", path, "few", spec={"hard": {"pods": "0"}})
    await world.quota_in_force()
    await world.apply()
    said = await world.condition("Degraded", "True", "QuotaExceeded")
    assert "few" in said["message"]
    await world.condition("ScalingLimited", "True", "QuotaExceeded")
    before, began = await world.operator.counted(REQUESTS), time.monotonic()
    await world.put("v1", "ResourceQuota", path, "few", spec={"hard": {"pods": "2"}})
    await world.settled(1, within_s=60)
    asked = await world.operator.counted(REQUESTS) - before
    assert asked < 200 + 10 * (time.monotonic() - began), (
        "who spins asks hundreds of times a second"
    )
    await world.condition("Degraded", "False")


async def test_a_foreign_pod_in_the_way_is_gone_around(world: Operated) -> None:
    await world.apply()
    (first,) = await world.settled(1)
    number = int(first.rpartition("-")[2])
    foreign = f"{first.rpartition('-')[0]}-{number + 1}"
    spec = {"schedulerName": "nobody", "containers": [{"name": "x", "image": "none"}]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": foreign}, "spec": spec}
    await world.client.create(world.pods_path, body)
    await world.patch({"replicas": 2})

    async def two() -> bool:
        return (await world.status()).get("ready") == 2

    await eventually(two, within_s=45, what="two runners beside the foreign pod")


async def test_the_budget_is_made_again_and_another_one_is_told_of(world: Operated) -> None:
    await world.apply()
    await world.settled(1)
    path = f"/apis/policy/v1/namespaces/{world.namespace}/poddisruptionbudgets"
    uid = (await world.client.get(f"{path}/paddock-agents-hold"))["metadata"]["uid"]
    await world.client.delete(f"{path}/paddock-agents-hold")

    async def there_again() -> bool:
        items = (await world.client.list(path)).items
        return any(item["metadata"]["uid"] != uid for item in items)

    await eventually(there_again, within_s=45, what="the budget")

    spec = {"maxUnavailable": 1, "selector": {"matchLabels": {"paddock.dev/pool": POOL}}}
    await world.put("policy/v1", "PodDisruptionBudget", path, "own", spec=spec)
    said = await world.condition("Degraded", "True", "OverlappingPDB")
    assert "own" in said["message"]
    await world.client.delete(f"{path}/own")
    await world.condition("Degraded", "False")


async def test_protection_reaches_runners_that_were_there_before(world: Operated) -> None:
    await world.apply(disruption={"protect": "Never"})
    (name,) = await world.settled(1)
    label, note = "paddock.dev/hold", "cluster-autoscaler.kubernetes.io/safe-to-evict"
    assert label not in (await world.pods())[name]["metadata"]["labels"]

    async def held(wanted: bool) -> bool:
        metadata = (await world.pods())[name]["metadata"]
        return (label in metadata["labels"]) is wanted is (note in metadata["annotations"])

    await world.patch({"disruption": {"protect": "Always"}})
    await eventually(lambda: held(True), within_s=45, what="the hold label")
    await world.patch({"disruption": {"protect": "Never"}})
    await eventually(lambda: held(False), within_s=45, what="no hold label")


async def test_a_permission_that_is_taken_away_is_named_and_nothing_is_born_unprotected(
    world: Operated, cluster: Cluster
) -> None:
    world.operator.kill()
    kubeconfig = await restricted_kubeconfig(world.client, world.namespace, cluster, world.folder)
    operator = OperatorProcess(world.folder, kubeconfig, world.namespace, "restricted")
    world.operator = operator
    operator.start()
    await eventually(lambda: operator.said("listed"), within_s=45, what="an operator at work")
    lessened = [rule for rule in GRANTED if "poddisruptionbudgets" not in rule["resources"]]
    lessened.append(
        {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": ["list", "watch"]}
    )
    await grant(world.client, world.namespace, lessened)
    await _refused(world, kubeconfig)
    await world.apply()
    said = await world.condition("Degraded", "True", "Forbidden")
    assert "poddisruptionbudgets" in said["message"]
    assert not await world.pods()

    await grant(world.client, world.namespace, GRANTED)
    await world.settled(1, within_s=60)
    await world.condition("Degraded", "False")


async def _restricted(world: Operated, cluster: Cluster, *without: str) -> OperatorProcess:
    """An operator that may do all that is documented but what concerns these resources."""
    world.operator.kill()
    kubeconfig = await restricted_kubeconfig(world.client, world.namespace, cluster, world.folder)
    left = [rule for rule in GRANTED if not set(without) & set(rule["resources"])]
    await grant(world.client, world.namespace, left)
    return OperatorProcess(world.folder, kubeconfig, world.namespace, "restricted")


async def test_without_a_permission_that_only_tells_or_remembers_pools_are_kept_and_it_is_logged(
    world: Operated, cluster: Cluster
) -> None:
    world.operator = await _restricted(world, cluster, "events", "configmaps")
    world.operator.start()
    await world.apply()
    await world.settled(1, within_s=60)
    missing = {line["what"] for line in world.operator.said("may_not")}
    assert {f"create events in namespace {world.namespace}"} < missing
    assert any("configmaps" in each for each in missing)


async def test_without_a_permission_to_see_pods_it_ends_and_says_which(
    world: Operated, cluster: Cluster
) -> None:
    world.operator = await _restricted(world, cluster, "pods")
    world.operator.start()
    assert await world.operator.exited(within_s=60) == 1
    assert f"may not watch pods in namespace {world.namespace}" in world.operator.text()


async def test_a_dry_run_needs_no_more_than_the_operator_and_says_what_it_would_do(
    world: Operated, cluster: Cluster
) -> None:
    world.operator.kill()
    kubeconfig = await restricted_kubeconfig(world.client, world.namespace, cluster, world.folder)
    await world.apply(replicas=2)
    dry = OperatorProcess(world.folder, kubeconfig, world.namespace, "dry", "--dry-run")
    dry.start()
    assert await dry.exited(within_s=60) == 0, dry.text()
    assert f"{world.namespace}/{POOL}: " in dry.text()
    assert "would: Create 2" in dry.text()
    assert not await world.pods()


async def _refused(world: Operated, kubeconfig: Path) -> None:
    """The API server has seen that the permission is gone."""
    async with KubeClient.connect(kubeconfig) as client:

        async def gone() -> bool:
            asked = ("patch", "policy", "poddisruptionbudgets", world.namespace)
            return not await client.can_i(*asked)

        await eventually(gone, within_s=45, what="the permission gone")
