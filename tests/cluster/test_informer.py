"""An informer holds what the server holds, whatever happens to the server or on the way to it."""

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fakes.proxy import Proxy
from fakes.waiting import PATIENCE_S, eventually
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.informer import Informer
from paddock_operator.backends.kubernetes.mirror import Key
from testbed.client import ApiClient
from testbed.cluster import Cluster
from testbed.control_plane import ControlPlane

pytestmark = pytest.mark.api

_Change = tuple[str, str | None, str | None]


def _value(item: dict[str, Any]) -> str:
    return str((item.get("data") or {}).get("v", ""))


class _Seen:
    """An informer of a namespace's maps with label `w`, and what it told."""

    def __init__(self, client: KubeClient, path: str, silence_s: float = 70.0) -> None:
        self.changes: list[_Change] = []
        self.informer = Informer(
            client, path, "w=1", _value, on_change=self._changed, silence_s=silence_s
        )

    def _changed(self, key: Key, old: str | None, new: str | None) -> None:
        self.changes.append((key.name, old, new))

    @property
    def held(self) -> dict[str, str]:
        return _held(self.informer.store)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.informer.run())
            async with asyncio.timeout(PATIENCE_S):
                await self.informer.synced.wait()
            yield
            task.cancel()


def _held(store: Mapping[Key, str]) -> dict[str, str]:
    return {key.name: value for key, value in store.items()}


def _maps(namespace: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps" + (f"/{name}" if name else "")


def _make(server: ApiClient, namespace: str, name: str, value: str) -> None:
    metadata = {"name": name, "labels": {"w": "1"}}
    server.create(_maps(namespace), {"metadata": metadata, "data": {"v": value}})


def _set(server: ApiClient, namespace: str, name: str, value: str) -> None:
    server.merge(_maps(namespace, name), {"data": {"v": value}})


@asynccontextmanager
async def _by_proxy(cluster: Cluster, folder: Path) -> AsyncIterator[tuple[KubeClient, Proxy]]:
    """A client whose way to the server can be broken."""
    content = json.loads(cluster.kubeconfig.read_text())
    url = urlsplit(content["clusters"][0]["cluster"]["server"])
    assert url.port
    assert url.hostname
    async with Proxy(url.port, url.hostname) as proxy:
        content["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{proxy.port}"
        file = folder / "kubeconfig"
        file.write_text(json.dumps(content))
        async with KubeClient.connect(file, timeout_s=10.0) as client:
            yield client, proxy


async def test_it_follows_creations_changes_and_removals(
    kube: KubeClient, cluster: Cluster, namespace: str
) -> None:
    server = cluster.client
    _make(server, namespace, "a", "1")
    seen = _Seen(kube, _maps(namespace))
    async with seen.running():
        assert seen.held == {"a": "1"}
        _make(server, namespace, "b", "1")
        _set(server, namespace, "a", "2")
        server.delete(_maps(namespace, "b"))
        # What no longer has the label is gone, too.
        server.merge(_maps(namespace, "a"), {"metadata": {"labels": {"w": None}}})
        await eventually(lambda: len(seen.changes) == 5)

    assert seen.held == {}
    assert seen.changes == [
        ("a", None, "1"), ("b", None, "1"), ("a", "1", "2"), ("b", "1", None), ("a", "2", None),
    ]  # fmt: skip


async def test_a_cut_connection_is_continued_where_it_was(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    server = cluster.client
    _make(server, namespace, "a", "1")
    async with _by_proxy(cluster, tmp_path) as (client, proxy):
        seen = _Seen(client, _maps(namespace))
        async with seen.running():
            proxy.open = False
            proxy.cut()
            await eventually(lambda: seen.informer.problem)
            for value in ("2", "3"):
                _set(server, namespace, "a", value)
            proxy.open = True
            await eventually(lambda: seen.held == {"a": "3"})

    # Every step was told, so it was the watch that went on, not a new listing.
    assert seen.changes == [("a", None, "1"), ("a", "1", "2"), ("a", "2", "3")]
    assert seen.informer.problem == ""


async def test_what_happened_before_a_restart_and_unseen_is_found_by_a_new_listing(
    cluster: Cluster, namespace: str, control_plane: ControlPlane, tmp_path: Path
) -> None:
    server = cluster.client
    for name in ("stays", "goes", "replaced"):
        _make(server, namespace, name, "1")
    async with _by_proxy(cluster, tmp_path) as (client, proxy):
        seen = _Seen(client, _maps(namespace))
        async with seen.running():
            seen.changes.clear()
            proxy.open = False
            proxy.cut()
            await eventually(lambda: seen.informer.problem)
            server.delete(_maps(namespace, "goes"))
            server.delete(_maps(namespace, "replaced"))
            _make(server, namespace, "replaced", "2")
            _make(server, namespace, "comes", "1")
            control_plane.stop_apiserver()
            control_plane.start_apiserver()
            proxy.open = True
            await eventually(lambda: seen.held.get("comes"))

            assert seen.held == {"stays": "1", "replaced": "2", "comes": "1"}
            assert sorted(seen.changes[:2]) == [("goes", "1", None), ("replaced", "1", None)] or (
                seen.changes[0] == ("goes", "1", None)
            )
            assert seen.changes.index(("replaced", "1", None)) < seen.changes.index(
                ("replaced", None, "2")
            )
            _set(server, namespace, "stays", "2")
            await eventually(lambda: seen.held["stays"] == "2")


async def test_a_restarted_server_is_found_again(
    kube: KubeClient, cluster: Cluster, namespace: str, control_plane: ControlPlane
) -> None:
    server = cluster.client
    _make(server, namespace, "a", "1")
    seen = _Seen(kube, _maps(namespace))
    async with seen.running():
        await asyncio.to_thread(control_plane.stop_apiserver)
        await eventually(lambda: seen.informer.problem)
        control_plane.start_apiserver()
        _set(server, namespace, "a", "2")
        await eventually(lambda: seen.held == {"a": "2"})

        assert seen.informer.lag_s < PATIENCE_S


async def test_a_silent_watch_is_given_up(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    server = cluster.client
    _make(server, namespace, "a", "1")
    async with _by_proxy(cluster, tmp_path) as (client, proxy):
        seen = _Seen(client, _maps(namespace), silence_s=1.0)
        async with seen.running():
            proxy.hold()
            _set(server, namespace, "a", "2")
            await eventually(lambda: "silent" in seen.informer.problem)
            proxy.release()
            await eventually(lambda: seen.held == {"a": "2"})
            await eventually(lambda: not seen.informer.problem)


async def test_it_follows_all_namespaces_at_once(
    kube: KubeClient, cluster: Cluster, namespace: str
) -> None:
    seen = _Seen(kube, "/api/v1/configmaps")
    async with seen.running():
        _make(cluster.client, namespace, "a", "1")
        await eventually(lambda: Key(namespace, "a") in seen.informer.store)


async def test_five_thousand_objects_never_hold_the_loop_for_long(
    kube: KubeClient, cluster: Cluster, namespace: str
) -> None:
    size = 5000
    fill = {"v": "1", "fill": "x" * 3000}

    async def make(first: int) -> None:
        for n in range(first, size, 16):
            metadata = {"name": f"m{n}", "labels": {"w": "1"}}
            await kube.create(_maps(namespace), {"metadata": metadata, "data": fill})

    await asyncio.gather(*(make(first) for first in range(16)))
    gc.freeze()  # as an operator does once it has started; what the tests hold is not its own
    page_s = _page_s({"metadata": {"name": "m", "labels": {"w": "1"}}, "data": fill})
    longest_s: list[float] = []
    while not longest_s or (min(longest_s) > 0.05 and len(longest_s) < 3):
        seen = _Seen(kube, _maps(namespace))
        beating = asyncio.create_task(_longest_gap_s(seen.informer.synced))
        async with seen.running():
            pass
        longest_s.append(await beating)
        assert len(seen.held) == size
    gc.unfreeze()

    print(f"longest: {longest_s}, a page: {page_s}")
    assert min(longest_s) < max(0.05, 12 * page_s), "a page at a time; there are ten"


def _page_s(item: dict[str, Any]) -> float:
    """How long this machine takes to read 500 of these, the quickest of a few times."""
    text = json.dumps([item] * 500)
    took_s = []
    for _ in range(5):
        before = time.thread_time()
        json.loads(text)
        took_s.append(time.thread_time() - before)
    return min(took_s)


async def _longest_gap_s(until: asyncio.Event) -> float:
    """The longest work of the loop in one piece, while others use the machine as well."""
    longest = 0.0
    while not until.is_set():
        before = time.thread_time()
        await asyncio.sleep(0)
        longest = max(longest, time.thread_time() - before)
    return longest
