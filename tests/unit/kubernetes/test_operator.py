"""One operator of many pools and connections: the trouble of one is its own."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from fakes.kube_memory import NOW, KubeMemory
from fakes.told_link import ToldLink
from fakes.waiting import eventually
from paddock_operator.backends.kubernetes.decoding import Listing
from paddock_operator.backends.kubernetes.learned import LearnedStates
from paddock_operator.backends.kubernetes.operator import Operator
from paddock_operator.backends.kubernetes.words import connections_path, pools_path
from paddock_operator.observe.metrics import Metrics
from paddock_operator.reconcile.clock import CLOCK
from unit.model.manifests import SMALLEST, changed_data

Json = dict[str, Any]


class World:
    """An operator whose watches are the test, and whose workers are at work."""

    def __init__(self) -> None:
        self.kube = KubeMemory()
        self.links: list[ToldLink] = []
        self.refused: set[str] = set()
        """Addresses at which opening a link fails in a way that nobody has thought of."""
        self.operator = Operator(
            self.kube.client, Metrics(CLOCK.wall), LearnedStates(self.kube.client, "n"),
            namespace="n", connect=self._connect,
        )  # fmt: skip
        data = {name: base64.b64encode(b"key").decode() for name in ("apiKey", "runnerKey")}
        self.kube.put("/api/v1/namespaces/n/secrets", "keys", data=data)

    def _connect(
        self, url: str, api_key: str, *, ca: bytes | None, changed: Callable[[], None]
    ) -> ToldLink:
        if url in self.refused:
            raise RuntimeError("who would have thought")
        self.links.append(ToldLink(url, api_key, ca, heard=True))
        return self.links[-1]

    def connection(self, name: str, url: str = "https://paddock.example") -> Json:
        """Somebody creates it, and the operator sees it."""
        spec = {"url": url, "secretRef": {"name": "keys"}}
        kind = {"apiVersion": "paddock.dev/v1alpha1", "kind": "OrchestratorConnection"}
        made = self.kube.put(connections_path("n"), name, spec=spec, **kind)
        self.operator.connection_seen("ADDED", made)
        return made

    def removed(self, name: str, *, seen: bool = True) -> None:
        path = f"{connections_path('n')}/{name}"
        gone = self.kube.api.objects[path]
        self.kube.api.remove("somebody", path)
        if seen:
            self.operator.connection_seen("DELETED", gone)

    def pool(self, name: str, *, created: int = 0, seen: bool = True, **changes: Any) -> Json:
        """Somebody creates it, and the operator sees it. `created`: in which order."""
        data = changed_data(SMALLEST, changes)
        kind = {"apiVersion": data["apiVersion"], "kind": data["kind"]}
        self.kube.api._wall = lambda: NOW + created
        made = self.kube.put(pools_path("n"), name, spec=data["spec"], **kind)
        if seen:
            self.operator.pool_seen("ADDED", made)
        return made

    def pool_changes(self, name: str, kind: str = "MODIFIED") -> Json:
        """The operator sees it as it is now, or that it has gone."""
        path = f"{pools_path('n')}/{name}"
        obj = self.kube.api.objects[path]
        if kind == "DELETED":
            self.kube.api.remove("somebody", path)
        self.operator.pool_seen(kind, obj)
        return obj

    def pods(self) -> set[str]:
        """Of which pools there are pods."""
        pods = self.kube.api.of("/api/v1/namespaces/n/pods")
        return {pod["metadata"]["labels"]["paddock.dev/pool"] for pod in pods}

    async def accepted(self, name: str, reason: str) -> str:
        """The message of the pool's TemplateAccepted, once it has this reason."""

        def look() -> list[str]:
            status = self.kube.api.objects[f"{pools_path('n')}/{name}"].get("status", {})
            return [
                one["message"]
                for one in status.get("conditions", [])
                if (one["type"], one["reason"]) == ("TemplateAccepted", reason)
            ]

        found: list[str] = await eventually(look, within_s=5, what=f"{reason} of {name}")
        return found[0]

    async def ready(self, name: str) -> str:
        """The reason of the connection's condition, once it is told."""
        await eventually(lambda: self._conditions(name), within_s=5, what=f"a status of {name}")
        return str(self._conditions(name)[0]["reason"])

    def _conditions(self, name: str) -> list[Json]:
        status = self.kube.api.objects[f"{connections_path('n')}/{name}"].get("status", {})
        found: list[Json] = status.get("conditions", [])
        return found


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    operator = made.operator
    working = [asyncio.create_task(each()) for each in (operator._connect, operator._work)]
    yield made
    for task in working:
        assert not task.done(), task.exception()
        task.cancel()
    await asyncio.wait(working)
    await made.operator._connections.close()


async def test_a_connection_that_fails_in_an_unknown_way_leaves_the_others_alone(
    world: World,
) -> None:
    world.refused.add("https://bad.example")
    world.connection("bad", "https://bad.example")
    world.connection("good")
    assert await world.ready("good") == "Connected"


async def test_it_is_tried_again_by_itself(world: World) -> None:
    world.refused.add("https://bad.example")
    world.connection("bad", "https://bad.example")
    world.connection("good")
    await world.ready("good")
    world.refused.clear()
    assert await world.ready("bad") == "Connected"


@pytest.mark.parametrize("seen", [True, False])
async def test_a_connection_that_was_created_again_has_a_status_again(
    world: World, seen: bool
) -> None:
    """Even where the watch has missed that the first one went."""
    world.connection("default")
    await world.ready("default")
    world.removed("default", seen=seen)
    world.connection("default")
    assert await world.ready("default") == "Connected"


async def test_a_connection_that_changes_often_is_looked_at_once(world: World) -> None:
    world.connection("default")
    await world.ready("default")
    asked: list[str] = []
    world.kube.before = lambda method, path: asked.append(path)
    for _ in range(20_000):
        world.operator._connection_changed(("n", "default"))
    world.connection("other")
    await world.ready("other")
    assert sum(path.endswith("/secrets/keys") for path in asked) <= 3


@pytest.mark.parametrize("order", [("older", "a"), ("a", "older")])
async def test_of_two_pools_with_one_agent_the_older_has_it(
    world: World, order: tuple[str, str]
) -> None:
    world.connection("default")
    await world.ready("default")
    for name in order:
        world.pool(name, created=0 if name == "older" else 60, spec__agentId="desk")
    said = await world.accepted("a", "AgentTaken")
    assert "n/older" in said
    await world.accepted("older", "Accepted")
    assert world.pods() == {"older"}
    assert set(world.links[0].declared) == {"desk"}


async def test_whoever_stands_aside_keeps_what_runs_and_takes_over(world: World) -> None:
    world.connection("default")
    await world.ready("default")
    world.pool("younger", created=60, spec__agentId="desk")
    await world.accepted("younger", "Accepted")
    await eventually(lambda: world.pods() == {"younger"}, what="its pods")
    pods = world.kube.api.of("/api/v1/namespaces/n/pods")
    world.pool("older", spec__agentId="desk")
    await world.accepted("younger", "AgentTaken")
    await eventually(lambda: world.pods() == {"younger", "older"}, what="the older one's pods")
    world.pool_changes("younger")
    assert [pod for pod in world.kube.api.of("/api/v1/namespaces/n/pods") if pod in pods] == pods

    before = len(world.links[0].declared)
    world.pool_changes("older", "DELETED")
    await eventually(lambda: len(world.links[0].declared) > before, what="a declaration")
    world.links[0].lines.put_nowait({"boot": "b", "seq": 1, "gone": [], "pools": [], "runners": []})
    await world.accepted("younger", "Accepted")


async def test_an_operator_that_begins_knows_who_is_older_before_its_first_pass(
    world: World,
) -> None:
    world.connection("default")
    await world.ready("default")
    world.pool("a", created=60, seen=False, spec__agentId="desk")
    world.pool("older", seen=False, spec__agentId="desk")
    await world.operator._see_all()
    await world.accepted("a", "AgentTaken")
    await world.accepted("older", "Accepted")
    assert world.pods() == {"older"}


async def test_pools_of_other_agents_or_connections_have_nothing_to_do_with_each_other(
    world: World,
) -> None:
    world.connection("default")
    world.connection("other", "https://other.example")
    await world.ready("other")
    world.pool("one", spec__agentId="desk")
    world.pool("two", spec__agentId="sales")
    world.pool("three", spec__agentId="desk", spec__connectionRef={"name": "other"})
    for name in ("one", "two", "three"):
        await world.accepted(name, "Accepted")
    assert world.pods() == {"one", "two", "three"}


async def test_a_pool_that_stands_aside_can_be_deleted_and_declares_nothing(world: World) -> None:
    world.connection("default")
    await world.ready("default")
    world.pool("younger", created=60, spec__agentId="desk")
    await eventually(lambda: world.pods() == {"younger"}, what="its pods")
    world.pool_changes("younger")
    world.pool("older", spec__agentId="desk")
    await world.accepted("younger", "AgentTaken")
    declared = list(world.links[0].declarations)
    path = f"{pools_path('n')}/younger"
    world.kube.api.delete("somebody", path, {})
    world.pool_changes("younger")
    await eventually(lambda: world.pods() == {"older"}, what="the end of its pods")
    await eventually(lambda: path not in world.kube.api.objects, what="its end")
    later = world.links[0].declarations[len(declared) :]
    assert all(one["desired"] > 0 for one in later)


async def test_a_status_says_of_which_spec_it_is_even_if_that_changed_during_the_pass(
    world: World,
) -> None:
    """Whoever waits for the status of a new spec must not be told that of the old one."""
    world.connection("default")
    await world.ready("default")
    path = f"{pools_path('n')}/desk"
    told: set[tuple[int, int]] = set()

    def in_between(method: str, asked: str) -> None:
        pool = world.kube.api.objects.get(path, {})
        if "status" in pool:
            told.add((pool["status"]["observedGeneration"], pool["status"]["desiredRunners"]))
        if method == "POST" and asked.endswith("/pods") and pool["metadata"]["generation"] == 1:
            world.kube.api.handle(
                "somebody", "PATCH", path, {}, {"spec": {"replicas": 3}},
                "application/merge-patch+json",
            )  # fmt: skip
            world.pool_changes("desk")

    world.kube.before = in_between
    world.pool("desk")
    await eventually(lambda: world.links[0].declared, what="a declaration")
    world.links[0].lines.put_nowait({"boot": "b", "seq": 1, "gone": [], "pools": [], "runners": []})

    def of_the_new_spec() -> bool:
        in_between("GET", path)
        return (2, 3) in told

    await eventually(of_the_new_spec, within_s=5, what="a status of the new spec")
    assert (2, 1) not in told


async def test_a_pool_keeps_one_manifest_and_not_one_for_each_status(world: World) -> None:
    world.pool("a")
    (pool,) = world.operator.pools.values()
    before = pool.resource
    world.pool_changes("a")
    assert pool.resource is not before
    assert pool.resource.parsed is before.parsed


async def test_what_can_be_read_of_a_manifest_that_is_wrong_is_the_newest(world: World) -> None:
    made = world.pool("a")
    for timeout_s in (60, 77):
        spec = {**made["spec"], "bogus": 1, "drain": {"timeoutSeconds": timeout_s}}
        world.operator.pool_seen("MODIFIED", {**made, "spec": spec})
    (pool,) = world.operator.pools.values()
    assert isinstance(pool.resource.parsed, tuple)
    assert pool.resource.rest is not None
    assert pool.resource.rest.spec.drain.timeout_seconds == 77


async def test_pools_that_are_gone_are_forgotten_and_none_that_came_while_they_were_listed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, listing = world.operator, world.kube.client.pages
    for name in ("kept", "gone", "again"):
        world.pool(name)
    for name in ("gone", "again"):
        world.kube.api.remove("somebody", f"{pools_path('n')}/{name}")

    async def pages(path: str, **how: Any) -> AsyncIterator[Listing]:
        async for page in listing(path, **how):
            world.pool("again")
            world.pool("new")
            yield page

    monkeypatch.setattr(world.kube.client, "pages", pages)
    await operator._forget_the_gone()
    assert sorted(key.pool for key in operator.pools) == ["again", "kept", "new"]
