"""Orchestrators as a namespace names them: one link each, made anew when it must be."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from fakes.kube_memory import KubeMemory
from fakes.told_link import ToldLink
from fakes.waiting import eventually
from paddock_operator.backends.kubernetes import connections
from paddock_operator.backends.kubernetes.connections import Connections
from paddock_operator.backends.kubernetes.errors import Forbidden
from paddock_operator.model.connection import OrchestratorConnection
from paddock_operator.model.resource import parse_connection

SECRETS = "/api/v1/namespaces/n/secrets"


BAD_KEYS = (
    "schlüssel",
    "sk_secret\nrk_other",
    "sk_secret other",
    "sk_secret\tx",
    "s\0",
    " \n",
    " sk_two",
    "sk_two ",
)


class World:
    def __init__(self) -> None:
        self.kube = KubeMemory()
        self.links: list[ToldLink] = []
        self.connections = Connections(self.kube.client, connect=self._connect)

    def _connect(
        self, url: str, api_key: str, *, ca: bytes | None, changed: Callable[[], None]
    ) -> ToldLink:
        self.links.append(ToldLink(url, api_key, ca))
        return self.links[-1]

    def secret(self, **data: str) -> None:
        coded = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
        self.kube.api.remove("somebody", f"{SECRETS}/keys")
        self.kube.put(SECRETS, "keys", data=coded)

    async def change(self, url: str = "https://paddock.example", **spec: Any) -> None:
        await self.connections.changed(
            parse_connection(
                {
                    "apiVersion": "paddock.dev/v1alpha1", "kind": "OrchestratorConnection",
                    "metadata": {"name": "default", "namespace": "n", "uid": "u",
                                 "generation": 1, "resourceVersion": "1"},
                    "spec": {"url": url, "secretRef": {"name": "keys"}, **spec},
                }
            )
        )  # fmt: skip

    @property
    def problem(self) -> str:
        problem = self.connections.of("n", "default").problem
        return "" if problem is None else f"{problem.reason}: {problem.message}"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    made.secret(apiKey="sk_one", runnerKey="rk_one")
    yield made
    await made.connections.close()
    assert all(link.closed for link in made.links)


def test_a_connection_that_was_never_seen_says_what_to_do() -> None:
    assert "create it" in World().problem


async def test_it_talks_to_the_address_with_the_secrets_key(world: World) -> None:
    await world.change()
    assert [(link.url, link.api_key) for link in world.links] == [
        ("https://paddock.example", "sk_one")
    ]
    assert world.problem == ""
    assert world.connections.of("n", "default").endpoint is not None


async def test_the_same_again_keeps_the_link(world: World) -> None:
    await world.change()
    await world.change()
    assert len(world.links) == 1


async def test_another_key_makes_another_link_and_the_listeners_stay(world: World) -> None:
    heard: list[dict[str, Any]] = []
    world.connections.of("n", "default").subscribe("desk", heard.append)
    await world.change()
    world.secret(apiKey="sk_two", runnerKey="rk_one")
    await world.change()
    first, second = world.links
    assert first.closed
    assert second.api_key == "sk_two"

    second.lines.put_nowait({"boot": "b", "seq": 1, "gone": [], "pools": [], "runners": []})
    while not heard:  # noqa: ASYNC110 - until the other task had its turn
        await asyncio.sleep(0)
    assert heard[0]["boot"] == "b"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"apiKey": "sk"}, "MissingSecret: secret 'keys' in namespace 'n' has no runnerKey"),
        *(
            ({"runnerKey": "rk", "apiKey": key}, "secret 'keys' in namespace 'n': apiKey is no key")
            for key in BAD_KEYS
        ),
        *(({"apiKey": "sk", "runnerKey": key}, "runnerKey is no key") for key in BAD_KEYS),
    ],
)
async def test_a_secret_of_no_use_is_told(world: World, data: dict[str, str], said: str) -> None:
    await world.change()
    world.secret(**data)
    await world.change()
    assert said in world.problem
    assert not re.search("secret|other|schlüssel", world.problem.replace("secret 'keys'", ""))
    assert world.links[0].closed
    assert world.connections.of("n", "default").link is None


async def test_the_end_of_a_line_behind_a_key_is_nothing(world: World) -> None:
    """As for the runners, who are given the secret as it is, and refuse what is refused here."""
    world.secret(apiKey="sk_two\r\n", runnerKey="rk_one\n")
    await world.change()
    assert world.problem == ""
    assert world.links[0].api_key == "sk_two"


async def test_a_missing_secret_is_told(world: World) -> None:
    world.kube.api.remove("somebody", f"{SECRETS}/keys")
    await world.change()
    assert "does not exist: create it" in world.problem


async def test_a_secret_that_may_not_be_read_is_told(world: World) -> None:
    def refuse(method: str, path: str) -> None:
        raise Forbidden("no", status=403)

    world.kube.before = refuse
    await world.change()
    assert "may not be read" in world.problem


async def test_a_ca_bundle_of_nonsense_is_told(world: World) -> None:
    def fail(url: str, api_key: str, *, ca: bytes | None, changed: Callable[[], None]) -> ToldLink:
        raise ValueError("no start line")

    world.connections = Connections(world.kube.client, connect=fail)
    await world.change(caBundle=base64.b64encode(b"nonsense").decode())
    assert "caBundle is no PEM certificate (no start line)" in world.problem


@pytest.mark.parametrize("where", ["url_from", "connect"])
async def test_an_address_of_no_use_is_told_and_raises_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The object may be older than the rules."""

    def fail(*_: Any, **__: Any) -> Any:
        raise ValueError("Port out of range 0-65535")

    if where == "url_from":
        monkeypatch.setattr(OrchestratorConnection, "url_from", fail)
    else:
        world.connections = Connections(world.kube.client, connect=fail)
    await world.change()
    assert world.problem.startswith("Invalid: spec.url 'https://paddock.example'")
    assert "Port out of range" in world.problem


async def test_a_deleted_connection_is_closed_and_may_come_back(world: World) -> None:
    await world.change()
    await world.connections.deleted("n", "default")
    assert world.links[0].closed
    assert "was deleted" in world.problem
    await world.change()
    assert len(world.links) == 2
    assert world.problem == ""


class Mishap(ToldLink):
    """Ends, or fails in a way nobody has thought of, at the first line and then no more."""

    def __init__(self, *args: Any, end: bool, **more: Any) -> None:
        super().__init__(*args, **more)
        self.follows = 0
        self._end = end

    async def follow(self, hear: Callable[[dict[str, Any]], None]) -> None:
        self.follows += 1
        if self.follows == 1:
            await self.lines.get()
            if self._end:
                return
            raise KeyError("boot")
        await super().follow(hear)


@pytest.mark.parametrize("end", [True, False])
async def test_statistics_that_end_are_told_of_and_followed_again(
    world: World, monkeypatch: pytest.MonkeyPatch, end: bool
) -> None:
    monkeypatch.setattr(connections, "FOLLOW_AGAIN_S", 0.01)
    links: list[Mishap] = []
    troubles: list[str] = []

    def connect(
        url: str, api_key: str, *, ca: bytes | None, changed: Callable[[], None]
    ) -> ToldLink:
        links.append(Mishap(url, api_key, ca, end=end))
        return links[-1]

    def changed(key: tuple[str, str]) -> None:
        trouble = world.connections.of(*key).trouble
        troubles.append("" if trouble is None else trouble.message)

    world.connections = Connections(world.kube.client, connect=connect, changed=changed)
    await world.change()
    line = {"boot": "b", "seq": 1, "gone": [], "pools": [], "runners": []}
    links[0].lines.put_nowait(line)
    await eventually(lambda: links[0].follows > 1, what="another attempt")
    assert ["cannot be followed" in trouble for trouble in troubles] == [True]
    links[0].lines.put_nowait(line)
    await eventually(lambda: troubles[1:] == [""], what="the end of the trouble")
