"""One operator of many pools and connections: the trouble of one is its own."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from fakes.kube_memory import KubeMemory
from fakes.told_link import ToldLink
from fakes.waiting import eventually
from paddock_operator.backends.kubernetes.learned import LearnedStates
from paddock_operator.backends.kubernetes.operator import Operator
from paddock_operator.backends.kubernetes.words import connections_path
from paddock_operator.observe.metrics import Metrics
from paddock_operator.reconcile.clock import CLOCK

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
            connect=self._connect,
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
    working = asyncio.create_task(made.operator._connect())
    yield made
    assert not working.done(), working.exception()
    working.cancel()
    await asyncio.wait([working])
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
