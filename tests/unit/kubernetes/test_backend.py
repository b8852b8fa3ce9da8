"""Pods as runners: who is written to, and who is left alone."""

from collections.abc import Sequence
from typing import Any

import pytest

from fakes.kube_memory import KubeMemory
from paddock.protocol.words import Mode
from paddock_operator.backends.kubernetes.backend import KubernetesBackend
from paddock_operator.backends.kubernetes.pod_store import PodStore
from paddock_operator.backends.kubernetes.pods import PodView
from paddock_operator.backends.kubernetes.words import MANAGED_BY, MANAGER, POOL
from paddock_operator.model.resource import ObjectMeta
from paddock_operator.plan.actions import CancelStart, Commit, Create, Forget, WriteIntent
from paddock_operator.plan.view import DrainReason, Intent, Phase

PODS = "/api/v1/namespaces/n/pods"
OWNER = ObjectMeta("desk", "n", "owner-uid", 1, "1")
DRAIN = Intent(1, Mode.DRAIN, DrainReason.SCALE_DOWN, 5.0, 65.0)


def _pod(revision: str, slot: int) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"desk-{revision}-{slot}", "namespace": "n",
            "labels": {POOL: "desk", MANAGED_BY: MANAGER},
            "ownerReferences": [{"uid": OWNER.uid, "controller": True}],
        },
        "spec": {"containers": [{"name": "agent"}], "terminationGracePeriodSeconds": 60},
    }  # fmt: skip


class CountingStore(PodStore):
    """Knows how often all pods were looked at."""

    looks = 0

    def of(self, namespace: str, pool: str) -> Sequence[PodView]:
        self.looks += 1
        return super().of(namespace, pool)


class Pool:
    """One pool's backend, and its pods as they truly are."""

    def __init__(self) -> None:
        self.kube = KubeMemory()
        self.store = CountingStore(self.kube.client, PODS, lambda pool: None)
        self.backend = KubernetesBackend(
            self.kube.client, self.store, OWNER, make=_pod, cordoned=lambda node: False
        )

    async def runner(self, phase: str = "Running", **status: Any) -> str:
        """A runner of revision r in slot 0, on a node, as the backend sees it."""
        await self.backend.create(Create("r", 1))
        self.set("desk-r-0", spec={"nodeName": "a"}, status={"phase": phase, **status})
        await self.backend._read("desk-r-0")
        self.backend.observe()
        return "desk-r-0"

    def set(self, name: str, **parts: Any) -> None:
        self.kube.api.patch("kubelet", f"{PODS}/{name}", parts)

    def replace(self, name: str) -> str:
        """The pod goes, and another one takes its name; its uid."""
        self.kube.api.remove("somebody", f"{PODS}/{name}")
        self.kube.put(PODS, name, **_pod("r", 0))
        self.set(name, spec={"nodeName": "a"}, status={"phase": "Running"})
        return str(self.kube.api.objects[f"{PODS}/{name}"]["metadata"]["uid"])

    def there(self, name: str = "desk-r-0") -> Any:
        return self.kube.api.objects.get(f"{PODS}/{name}")


@pytest.fixture
async def pool() -> Pool:
    return Pool()


async def test_a_pod_that_took_the_name_of_a_failed_one_is_not_cleaned_up(pool: Pool) -> None:
    name = await pool.runner("Failed")
    uid = pool.replace(name)

    await pool.backend.forget(Forget(name))
    assert pool.there()["metadata"]["uid"] == uid
    assert "deletionTimestamp" not in pool.there()["metadata"]


async def test_an_intent_is_not_written_to_a_pod_that_took_the_name(pool: Pool) -> None:
    name = await pool.runner()
    pool.replace(name)

    assert not await pool.backend.write_intent(WriteIntent(name, Intent(), DRAIN))
    assert "annotations" not in pool.there()["metadata"]


async def test_kubelets_writes_do_not_keep_a_commit_from_going_through(pool: Pool) -> None:
    name = await pool.runner()
    assert await pool.backend.write_intent(WriteIntent(name, Intent(), DRAIN))
    pool.set(name, status={"conditions": [{"type": "Ready", "status": "False"}]})

    assert await pool.backend.commit(Commit(name, DRAIN, "done"))
    assert "deletionTimestamp" in pool.there()["metadata"]


async def test_a_commit_fails_when_the_drain_was_called_off_meanwhile(pool: Pool) -> None:
    name = await pool.runner()
    assert await pool.backend.write_intent(WriteIntent(name, Intent(), DRAIN))
    pool.set(name, metadata={"annotations": {"paddock.dev/drain-epoch": "2",
                                             "paddock.dev/mode": "serve"}})  # fmt: skip

    assert not await pool.backend.commit(Commit(name, DRAIN, "done"))
    assert "deletionTimestamp" not in pool.there()["metadata"]


async def test_nothing_is_written_to_a_pod_on_its_way_out(pool: Pool) -> None:
    name = await pool.runner()
    pool.kube.api.delete("somebody", f"{PODS}/{name}", {})

    assert not await pool.backend.write_intent(WriteIntent(name, Intent(), DRAIN))
    assert "annotations" not in pool.there()["metadata"]


async def test_a_start_is_not_withdrawn_once_its_pod_is_bound(pool: Pool) -> None:
    await pool.backend.create(Create("r", 1))
    pool.backend.observe()
    pool.set("desk-r-0", spec={"nodeName": "a"})

    assert not await pool.backend.cancel_start(CancelStart("desk-r-0"))
    assert "deletionTimestamp" not in pool.there()["metadata"]


async def test_a_runner_without_an_image_is_pending_and_can_be_withdrawn(pool: Pool) -> None:
    stuck = {"name": "agent", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    name = await pool.runner("Pending", containerStatuses=[stuck])

    assert [seen.phase for seen in pool.backend.observe()] == [Phase.PENDING]
    assert await pool.backend.cancel_start(CancelStart(name))
    assert "deletionTimestamp" in pool.there()["metadata"]


async def test_creating_twice_creates_once(pool: Pool) -> None:
    """Also when the answer to the first was never heard."""
    pool.kube.put(PODS, "desk-r-0", **_pod("r", 0))
    await pool.backend.create(Create("r", 1))

    assert [pod.name for pod in pool.backend.pods().values()] == ["desk-r-0"]
    assert len(pool.kube.api.of(PODS)) == 1


async def test_what_another_operator_created_since_stands_for_ours(pool: Pool) -> None:
    """Also when it is seen before ours is created: it was not when ours was decided."""
    pool.backend.observe()
    pool.kube.put(PODS, "desk-r-0", **_pod("r", 0))
    await pool.backend._read("desk-r-0")
    await pool.backend.create(Create("r", 1))
    assert list(pool.backend.pods()) == ["desk-r-0"]

    await pool.backend.create(Create("r", 1))
    pool.backend.observe()
    await pool.backend.create(Create("r", 1))
    assert list(pool.backend.pods()) == ["desk-r-0", "desk-r-1", "desk-r-2"]


async def test_the_server_is_asked_whether_pods_are_left(pool: Pool) -> None:
    assert not await pool.backend.has_pods()
    pool.kube.put(PODS, "desk-r-0", **_pod("r", 0))

    assert await pool.backend.has_pods()
    assert [seen.runner_id for seen in pool.backend.observe()] == ["desk-r-0"]


async def test_pods_of_an_earlier_pool_of_the_name_are_not_ours(pool: Pool) -> None:
    other = _pod("r", 0)
    other["metadata"]["ownerReferences"][0]["uid"] = "another"
    pool.kube.put(PODS, "desk-r-0", **other)

    assert not await pool.backend.has_pods()
    pool.backend.observe()
    await pool.backend.create(Create("r", 1))
    assert [seen.runner_id for seen in pool.backend.observe()] == ["desk-r-1"]


async def test_writes_to_a_pool_of_thousands_do_not_look_at_all_of_it_each_time(pool: Pool) -> None:
    name = await pool.runner()
    before = pool.store.looks
    assert await pool.backend.write_intent(WriteIntent(name, Intent(), DRAIN))
    assert pool.store.looks == before
