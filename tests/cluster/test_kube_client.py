"""What our client promises, and what the drain protocol builds on, tried on a real API server."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from fakes.quotas import in_force
from fakes.waiting import eventually
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    KubeError,
    NotFound,
    QuotaExceeded,
    ServerUnavailable,
    TooManyRequests,
    Unauthorized,
)
from paddock_operator.backends.kubernetes.retry import Retries
from paddock_operator.backends.kubernetes.watching import WatchEvent
from testbed import kubeconfig
from testbed.cluster import Cluster
from testbed.control_plane import ControlPlane
from testbed.pods import path_of, play_kubelet, pod
from testbed.waiting import wait_until

_CLOSED = 2**31 - 1
"""More than there can be pods: the budget never lets one go."""

pytestmark = pytest.mark.api


def _held(name: str, **spec: Any) -> dict[str, Any]:
    """A pod that sits on a node, which is none, so that it stays as it is."""
    return pod(name, **{"nodeName": "nowhere", "terminationGracePeriodSeconds": 3660, **spec})


def _waiting(name: str) -> dict[str, Any]:
    """A pod that no scheduler looks at."""
    return pod(name, schedulerName="nobody")


def _version(item: dict[str, Any]) -> str:
    return str(item["metadata"]["resourceVersion"])


def _note(value: str, version: str | None = None) -> dict[str, Any]:
    """A patch of an annotation; with a version it is a compare-and-set."""
    metadata: dict[str, Any] = {"annotations": {"paddock.test/note": value}}
    return {"metadata": metadata | ({"resourceVersion": version} if version else {})}


async def _made(kube: KubeClient, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
    return (await kube.create(path_of(namespace), body)).object


async def _fails(request: Awaitable[object]) -> int:
    """The status of the error."""
    with pytest.raises(KubeError) as caught:
        await request
    return caught.value.status


async def test_a_patch_with_the_current_version_passes_and_with_an_old_one_does_not(
    kube: KubeClient, namespace: str
) -> None:
    first = await _made(kube, namespace, _held("one"))
    path = path_of(namespace, "one")

    second = await kube.merge_patch(path, _note("a", _version(first)))
    with pytest.raises(Conflict):
        await kube.merge_patch(path, _note("b", _version(first)))

    assert second["metadata"]["annotations"]["paddock.test/note"] == "a"
    assert (await kube.get(path))["metadata"]["annotations"]["paddock.test/note"] == "a"


async def test_a_delete_that_meant_another_version_or_another_pod_is_refused(
    kube: KubeClient, namespace: str
) -> None:
    first = await _made(kube, namespace, _held("one"))
    path = path_of(namespace, "one")
    uid = first["metadata"]["uid"]
    await kube.merge_patch(path, _note("newer"))

    with pytest.raises(Conflict):
        await kube.delete(path, uid=uid, resource_version=_version(first))
    with pytest.raises(Conflict):
        await kube.delete(path, uid="11111111-2222-3333-4444-555555555555")

    assert "deletionTimestamp" not in (await kube.get(path))["metadata"]


async def test_a_delete_of_a_bound_pod_takes_the_grace_of_its_spec(
    kube: KubeClient, namespace: str
) -> None:
    made = await _made(kube, namespace, _held("one"))
    path = path_of(namespace, "one")

    going = await kube.delete(path, uid=made["metadata"]["uid"], resource_version=_version(made))

    assert going["metadata"]["deletionTimestamp"]
    assert going["metadata"]["deletionGracePeriodSeconds"] == 3660
    assert _version(going) != _version(made)


async def test_a_pod_that_ends_takes_patches_with_its_new_version_only(
    kube: KubeClient, namespace: str
) -> None:
    made = await _made(kube, namespace, _held("one"))
    path = path_of(namespace, "one")
    going = await kube.delete(path, uid=made["metadata"]["uid"])

    with pytest.raises(Conflict):
        await kube.merge_patch(path, _note("late", _version(made)))

    assert await kube.merge_patch(path, _note("later", _version(going)))


async def test_grace_only_shrinks_and_nothing_undoes_a_delete(
    kube: KubeClient, namespace: str
) -> None:
    await _made(kube, namespace, _held("one"))
    path = path_of(namespace, "one")

    graces = [
        (await kube.delete(path, grace_s=grace))["metadata"]["deletionGracePeriodSeconds"]
        for grace in (3660, 7200, 60, 600)
    ]
    patched = await kube.merge_patch(path, {"metadata": {"deletionTimestamp": None}})

    assert graces == [3660, 3660, 60, 60]
    assert patched["metadata"]["deletionTimestamp"]


async def test_a_pod_bound_meanwhile_is_saved_by_the_version(
    kube: KubeClient, namespace: str
) -> None:
    seen = await _made(kube, namespace, _waiting("one"))
    path = path_of(namespace, "one")
    await kube.create(
        f"{path}/binding",
        {
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "one"},
            "target": {"apiVersion": "v1", "kind": "Node", "name": "nowhere"},
        },
    )  # fmt: skip

    with pytest.raises(Conflict):
        await kube.delete(path, uid=seen["metadata"]["uid"], resource_version=_version(seen))

    assert (await kube.get(path))["spec"]["nodeName"] == "nowhere"


async def test_a_pod_that_is_not_bound_is_removed_at_once(kube: KubeClient, namespace: str) -> None:
    seen = await _made(kube, namespace, _waiting("one"))
    path = path_of(namespace, "one")

    await kube.delete(path, uid=seen["metadata"]["uid"], resource_version=_version(seen))

    with pytest.raises(NotFound):
        await kube.get(path)


async def test_a_write_of_the_kubelet_defeats_a_delete_decided_before_it(
    kube: KubeClient, cluster: Cluster, namespace: str
) -> None:
    seen = await _made(kube, namespace, _held("one"))
    path = path_of(namespace, "one")
    play_kubelet(cluster.client, namespace, "one", ready=True)

    with pytest.raises(Conflict):
        await kube.delete(path, uid=seen["metadata"]["uid"], resource_version=_version(seen))
    again = await kube.get(path)

    assert await kube.delete(path, uid=again["metadata"]["uid"], resource_version=_version(again))


def _eviction(name: str, version: str | None = None) -> dict[str, Any]:
    eviction: dict[str, Any] = {
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name},
    }  # fmt: skip
    if version:
        eviction["deleteOptions"] = {"preconditions": {"resourceVersion": version}}
    return eviction


def _evict(kube: KubeClient, namespace: str, name: str) -> Awaitable[object]:
    return kube.create(f"{path_of(namespace, name)}/eviction", _eviction(name))


async def _budget(kube: KubeClient, namespace: str, name: str, **spec: Any) -> str:
    """The path of a budget for the pod `held`."""
    budgets = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"
    await kube.create(
        budgets,
        {
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": {"app": "held"}}, **spec},
        },
    )  # fmt: skip
    return f"{budgets}/{name}"


async def _played_budget(kube: KubeClient, path: str, **status: int) -> None:
    """Say of a budget what its controller would."""
    generation = (await kube.get(path))["metadata"]["generation"]
    full = {"observedGeneration": generation, "disruptionsAllowed": 0, **status}
    await kube.merge_patch(path, {"status": full}, subresource="status")


def _in_force(cluster: Cluster, path: str) -> None:
    def in_force() -> bool:
        status = cluster.client.get(path).get("status", {})
        return bool(status.get("desiredHealthy") == _CLOSED)

    wait_until("budget in force", in_force, within_s=60)


@pytest.mark.parametrize("ready", [True, False])
async def test_a_budget_above_any_count_protects_ready_or_not(
    kube: KubeClient, cluster: Cluster, namespace: str, ready: bool
) -> None:
    await _made(kube, namespace, _held("held"))
    play_kubelet(cluster.client, namespace, "held", ready=ready)
    path = await _budget(kube, namespace, "all", minAvailable=_CLOSED)
    await asyncio.to_thread(_in_force, cluster, path)

    with pytest.raises(TooManyRequests) as refused:
        await _evict(kube, namespace, "held")

    assert refused.value.protected


async def test_a_refused_eviction_is_not_tried_again(
    cluster: Cluster, kube: KubeClient, namespace: str
) -> None:
    await _made(kube, namespace, _held("held"))
    play_kubelet(cluster.client, namespace, "held", ready=True)
    path = await _budget(kube, namespace, "all", minAvailable=_CLOSED)
    await asyncio.to_thread(_in_force, cluster, path)

    async with KubeClient.connect(cluster.kubeconfig) as persistent:
        with pytest.raises(TooManyRequests) as refused:
            await _evict(persistent, namespace, "held")

    assert refused.value.attempts == 1


async def test_a_budget_no_controller_has_seen_protects(
    kube: KubeClient, cluster: Cluster, namespace: str, control_plane: ControlPlane
) -> None:
    control_plane.controller_manager.stop()
    await _made(kube, namespace, _held("held"))
    play_kubelet(cluster.client, namespace, "held", ready=True)
    await _budget(kube, namespace, "all", minAvailable=_CLOSED)

    assert await _fails(_evict(kube, namespace, "held")) == 429


@pytest.mark.parametrize(
    ("ready", "status"),
    [
        pytest.param(
            False, {"currentHealthy": 3, "desiredHealthy": 3, "expectedPods": 3},
            id="a pod that is not ready, where all that is wanted is healthy",
        ),
        pytest.param(
            True,
            {"currentHealthy": 6, "desiredHealthy": 2, "expectedPods": 2, "disruptionsAllowed": 4},
            id="an owner with more pods than it has replicas",
        ),
    ],
)  # fmt: skip
async def test_a_budget_of_no_disruptions_lets_pods_go_all_the_same(
    kube: KubeClient,
    cluster: Cluster,
    namespace: str,
    control_plane: ControlPlane,
    ready: bool,
    status: dict[str, int],
) -> None:
    control_plane.controller_manager.stop()
    await _made(kube, namespace, _held("held"))
    play_kubelet(cluster.client, namespace, "held", ready=ready)
    path = await _budget(kube, namespace, "none", maxUnavailable=0)
    await _played_budget(kube, path, **status)

    await _evict(kube, namespace, "held")

    assert (await kube.get(path_of(namespace, "held")))["metadata"]["deletionTimestamp"]


async def test_two_budgets_on_a_pod_make_its_eviction_fail(
    kube: KubeClient, cluster: Cluster, namespace: str
) -> None:
    await _made(kube, namespace, _held("held"))
    play_kubelet(cluster.client, namespace, "held", ready=True)
    await _budget(kube, namespace, "one", minAvailable=_CLOSED)
    await _budget(kube, namespace, "two", minAvailable=1)

    with pytest.raises(ServerUnavailable) as failed:
        await _evict(kube, namespace, "held")

    assert failed.value.status == 500


async def test_a_pending_pod_is_evicted_whatever_the_budget(
    kube: KubeClient, cluster: Cluster, namespace: str
) -> None:
    await _made(kube, namespace, _held("held"))
    path = await _budget(kube, namespace, "all", minAvailable=_CLOSED)
    await asyncio.to_thread(_in_force, cluster, path)

    await _evict(kube, namespace, "held")

    assert (await kube.get(path_of(namespace, "held")))["metadata"]["deletionTimestamp"]


async def test_errors_are_told_apart(kube: KubeClient, cluster: Cluster, namespace: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    await kube.create(maps, {"metadata": {"name": "there"}})

    with pytest.raises(NotFound):
        await kube.get(f"{maps}/absent")
    with pytest.raises(AlreadyExists):
        await kube.create(maps, {"metadata": {"name": "there"}})
    with pytest.raises(Invalid) as invalid:
        await kube.create(maps, {"metadata": {"name": "There"}})
    assert [cause.field for cause in invalid.value.causes] == ["metadata.name"]
    assert "There" in invalid.value.message


async def test_a_used_up_quota_is_not_a_missing_right(
    kube: KubeClient, cluster: Cluster, namespace: str
) -> None:
    quotas = f"/api/v1/namespaces/{namespace}/resourcequotas"
    await kube.create(
        quotas, {"metadata": {"name": "none"}, "spec": {"hard": {"count/configmaps": "0"}}}
    )

    maps, one = f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": "one"}}
    await in_force(kube, maps, one)
    with pytest.raises(QuotaExceeded):
        await kube.create(maps, one)


async def test_a_missing_right_is_refused_and_foretold(
    kube: KubeClient, namespace: str, control_plane: ControlPlane
) -> None:
    scheduler = control_plane.folder / "scheduler.kubeconfig"
    async with KubeClient.connect(scheduler) as weak:
        with pytest.raises(Forbidden):
            await weak.create(
                f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": "one"}}
            )
        assert not await weak.can_i("create", "", "configmaps", namespace)
        assert await weak.can_i("list", "", "pods")
        assert await weak.can_i("patch", "", "pods", namespace, "status")
    assert await kube.can_i("delete", "policy", "poddisruptionbudgets", namespace)


async def test_a_credential_that_was_replaced_is_read_again(
    cluster: Cluster, namespace: str, tmp_path: Any
) -> None:
    file = tmp_path / "kubeconfig"
    good = cluster.kubeconfig.read_text()
    token = kubeconfig.read(cluster.kubeconfig).token
    assert token
    file.write_text(good.replace(token, "outdated"))
    async with KubeClient.connect(file) as client:
        with pytest.raises(Unauthorized):
            await client.get(f"/api/v1/namespaces/{namespace}")
        file.write_text(good)

        assert await client.get(f"/api/v1/namespaces/{namespace}")


async def test_apply_owns_what_it_names_and_forces_or_does_not(
    kube: KubeClient, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/one"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}}

    await kube.apply(path, body | {"data": {"a": "1", "b": "1"}}, manager="us")
    with pytest.raises(Conflict):
        await kube.apply(path, body | {"data": {"a": "2"}}, manager="them", force=False)
    await kube.apply(path, body | {"data": {"a": "2"}}, manager="them")
    last = await kube.apply(path, body | {"data": {"c": "3"}}, manager="us")

    assert last["data"] == {"a": "2", "c": "3"}


async def test_a_dry_run_says_what_is_wrong_and_stores_nothing(
    kube: KubeClient, namespace: str
) -> None:
    made = await kube.dry_run_create(path_of(namespace), _waiting("one"))
    with pytest.raises(Invalid):
        await kube.dry_run_create(path_of(namespace), _waiting("two") | {"spec": {}})

    assert made["spec"]["restartPolicy"] == "Never"
    assert (await kube.list(path_of(namespace))).items == []


async def test_a_listing_is_of_one_version_over_many_pages(
    kube: KubeClient, namespace: str
) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    for n in range(7):
        labels = {"odd": str(n % 2)}
        await kube.create(maps, {"metadata": {"name": f"m{n}", "labels": labels}})

    pages = [page async for page in kube.pages(maps, limit=3, labels="odd in (0,1)")]
    odd = await kube.list(maps, labels="odd=1", limit=2)

    assert [len(page.items) for page in pages] == [3, 3, 1]
    assert len({page.resource_version for page in pages}) == 1
    assert [item["metadata"]["name"] for item in odd.items] == ["m1", "m3", "m5"]


async def test_a_watch_tells_of_every_change_after_a_version(
    kube: KubeClient, namespace: str
) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    started = (await kube.list(maps)).resource_version
    large = "x" * 900_000
    await kube.create(maps, {"metadata": {"name": "one"}, "data": {"large": large}})
    await kube.merge_patch(f"{maps}/one", {"data": {"small": "y"}})
    await kube.delete(f"{maps}/one")

    events = []
    async for event in kube.watch(maps, resource_version=started, timeout_s=60):
        if event.object["metadata"].get("name") == "one":
            events.append(event)
        if event.type == "DELETED":
            break

    assert [event.type for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert events[1].object["data"] == {"large": large, "small": "y"}


async def test_a_quiet_watch_ends_in_time_with_a_bookmark(kube: KubeClient, namespace: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    started = (await kube.list(maps)).resource_version
    other = (await kube.create(maps, {"metadata": {"name": "other"}})).object

    async def heard() -> list[WatchEvent]:
        watching = kube.watch(maps, resource_version=started, labels="none=such", timeout_s=10)
        return [event async for event in watching]

    # It is sent in the last two seconds: a server that stood still then has not sent it.
    events = await eventually(heard, within_s=60, what="a bookmark")
    assert {event.type for event in events} == {"BOOKMARK"}
    assert int(_version(events[-1].object)) >= int(_version(other))


async def test_a_version_from_before_a_restart_is_gone(
    kube: KubeClient, cluster: Cluster, namespace: str, control_plane: ControlPlane
) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    old = (await kube.list(maps)).resource_version
    await kube.create(maps, {"metadata": {"name": "one"}})
    await asyncio.to_thread(control_plane.stop_apiserver)
    with pytest.raises(ServerUnavailable) as refused:
        await kube.get(maps)
    control_plane.start_apiserver()

    async def gone() -> bool:
        try:
            async for _ in kube.watch(maps, resource_version=old, timeout_s=60):
                pass
        except TooManyRequests:  # its caches are not filled yet
            return False
        except Gone:
            return True
        raise AssertionError("it is still there")

    await eventually(gone, what="an answer")
    assert refused.value.status == 0


async def test_requests_outlast_a_restart_of_the_server(
    cluster: Cluster, namespace: str, control_plane: ControlPlane
) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    async with KubeClient.connect(
        cluster.kubeconfig, retries=Retries(give_up_after_s=120.0)
    ) as client:
        await client.list(maps)
        await asyncio.to_thread(control_plane.stop_apiserver)
        making = asyncio.create_task(client.create(maps, {"metadata": {"name": "one"}}))
        # In this thread: with the thread that started it a process of the control plane ends.
        control_plane.apiserver.start()

        assert (await making).object["metadata"]["name"] == "one"
