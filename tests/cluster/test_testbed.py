"""What every other test of this folder relies on, tier by tier."""

import time
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import pytest

from testbed.cluster import Cluster
from testbed.control_plane import ControlPlane
from testbed.image_build import build_image
from testbed.pods import (
    DRAIN,
    READY_AFTER,
    evict,
    fake_pod,
    path_of,
    play_kubelet,
    pod,
    wait_gone,
    wait_ready,
)  # fmt: skip
from testbed.real_node import RealNode
from testbed.waiting import wait_until

_ALL = 2**31 - 1

_DOCKERFILE = """\
ARG BASE
FROM ${BASE}
WORKDIR /srv
RUN echo -n paddock > who && useradd --uid 10001 web
USER 10001
CMD ["python", "-m", "http.server", "8000"]
"""


def _serves(ask: Callable[[], object], unless: type[Exception] = OSError) -> bool:
    try:
        ask()
    except unless:
        return False
    return True


def _protect(cluster: Cluster, namespace: str, app: str) -> None:
    """A budget that lets nobody go, in force when this returns."""
    budgets = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"
    spec = {"minAvailable": _ALL, "selector": {"matchLabels": {"app": app}}}
    cluster.client.create(budgets, {"metadata": {"name": "all"}, "spec": spec})

    def in_force() -> bool:
        status: dict[str, Any] = cluster.client.get(f"{budgets}/all").get("status", {})
        return status.get("desiredHealthy") == _ALL

    wait_until("budget in force", in_force, within_s=60)


@pytest.mark.api
def test_the_api_is_of_the_version_that_is_built(cluster: Cluster) -> None:
    version = cluster.client.get("/version")

    assert version["major"] == "1"
    assert int(version["minor"]) >= 30
    assert version["gitVersion"] in cluster.kubectl_run("version")


@pytest.mark.api
def test_what_an_object_owns_goes_with_it(cluster: Cluster, namespace: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    owner = cluster.client.create(maps, {"metadata": {"name": "owner"}})["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["uid"]}
    cluster.client.create(maps, {"metadata": {"name": "owned", "ownerReferences": [reference]}})

    cluster.client.delete(f"{maps}/owner")

    wait_until(
        "owned collected", lambda: cluster.client.ask("GET", f"{maps}/owned").status == 404,
        within_s=60,
    )  # fmt: skip


@pytest.mark.api
@pytest.mark.parametrize("ready", [True, False])
def test_a_budget_of_all_pods_refuses_eviction(
    cluster: Cluster, namespace: str, ready: bool
) -> None:
    manifest = pod("held", nodeName="nowhere")
    cluster.client.create(path_of(namespace), manifest)
    play_kubelet(cluster.client, namespace, "held", ready=ready)
    _protect(cluster, namespace, "held")

    assert evict(cluster.client, namespace, "held") == 429


@pytest.mark.api
def test_an_eviction_of_a_pod_as_it_was_seen_takes_none_that_has_changed(
    cluster: Cluster, namespace: str
) -> None:
    """Not even where no budget holds it: it is ending, or was never started."""
    client, path = cluster.client, path_of(namespace, "held")
    seen = client.create(path_of(namespace), pod("held", nodeName="nowhere"))
    play_kubelet(client, namespace, "held", ready=True)
    _protect(cluster, namespace, "held")
    assert evict(client, namespace, "held", seen=_version(client.get(path))) == 429
    assert client.ask("DELETE", path).status == 200

    assert evict(client, namespace, "held", seen=_version(seen)) == 409
    assert evict(client, namespace, "held", seen=_version(client.get(path))) == 201


def _version(found: dict[str, Any]) -> str:
    return str(found["metadata"]["resourceVersion"])


@pytest.mark.api
def test_the_apiserver_restarts_on_the_same_port_and_data(
    cluster: Cluster, control_plane: ControlPlane, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    cluster.client.create(path, {"metadata": {"name": "kept"}, "data": {"key": "value"}})

    control_plane.stop_apiserver()
    with pytest.raises(ConnectionRefusedError):
        cluster.client.ask("GET", f"{path}/kept")
    control_plane.start_apiserver()

    assert cluster.client.get(f"{path}/kept")["data"] == {"key": "value"}


@pytest.mark.api
def test_a_frozen_apiserver_is_silent_until_thawed(
    cluster: Cluster, control_plane: ControlPlane
) -> None:
    control_plane.apiserver.freeze()
    with pytest.raises(TimeoutError):
        cluster.client.ask("GET", "/readyz", timeout_s=0.5)
    control_plane.apiserver.thaw()

    wait_until("ready again", cluster.client.is_ready, within_s=60)


@pytest.mark.fakenode
def test_a_fake_pod_becomes_ready_when_it_says(cluster: Cluster, namespace: str) -> None:
    began = time.monotonic()
    cluster.client.create(path_of(namespace), fake_pod("later", {READY_AFTER: "3s"}))
    cluster.client.create(path_of(namespace), fake_pod("soon"))

    wait_ready(cluster.client, namespace, "soon")
    wait_ready(cluster.client, namespace, "later")

    assert time.monotonic() - began >= 2.5


@pytest.mark.fakenode
def test_a_fake_pod_drains_for_as_long_as_it_says(cluster: Cluster, namespace: str) -> None:
    drains = fake_pod("drains", {DRAIN: "2s"}, terminationGracePeriodSeconds=600)
    cluster.client.create(path_of(namespace), drains)
    wait_ready(cluster.client, namespace, "drains")

    began = time.monotonic()
    cluster.client.delete(path_of(namespace, "drains"))
    wait_gone(cluster.client, namespace, "drains")

    assert time.monotonic() - began >= 1.5


@pytest.mark.fakenode
def test_a_fake_pod_that_does_not_drain_takes_its_grace(cluster: Cluster, namespace: str) -> None:
    deaf = fake_pod("deaf", terminationGracePeriodSeconds=3)
    cluster.client.create(path_of(namespace), deaf)
    wait_ready(cluster.client, namespace, "deaf")

    began = time.monotonic()
    cluster.client.delete(path_of(namespace, "deaf"))
    wait_gone(cluster.client, namespace, "deaf")

    assert time.monotonic() - began >= 2


@pytest.mark.realnode
def test_a_real_pod_is_told_to_end_and_waited_for(cluster: Cluster, namespace: str) -> None:
    path = path_of(namespace, "asleep")
    manifest = pod("asleep")
    manifest["metadata"]["finalizers"] = ["paddock.test/look"]
    cluster.client.create(path_of(namespace), manifest)
    wait_ready(cluster.client, namespace, "asleep")

    cluster.client.delete(path)
    wait_until(
        "the pod ended",
        lambda: cluster.client.get(path)["status"]["phase"] == "Succeeded",
        within_s=60,
    )
    ended = cluster.client.get(path)["status"]["containerStatuses"][0]["state"]["terminated"]
    cluster.client.merge(path, {"metadata": {"finalizers": None}})

    assert ended["exitCode"] == 0
    wait_gone(cluster.client, namespace, "asleep")


@pytest.mark.realnode
def test_a_pod_outlives_its_kubelet(cluster: Cluster, real_node: RealNode, namespace: str) -> None:
    cluster.client.create(path_of(namespace), pod("stays"))
    wait_ready(cluster.client, namespace, "stays")

    real_node.kubelet.kill()
    real_node.kubelet.start()
    cluster.client.create(path_of(namespace), pod("after"))
    wait_ready(cluster.client, namespace, "after")

    status = cluster.client.get(path_of(namespace, "stays"))["status"]
    assert status["containerStatuses"][0]["restartCount"] == 0
    assert status["phase"] == "Running"


@pytest.mark.realnode
@pytest.mark.timeout(1200)  # the base image may have to be made first
def test_an_image_built_from_a_dockerfile_serves_behind_a_name(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(_DOCKERFILE)
    tag = "localhost/paddock/testbed-web:test"
    cluster.load_image(build_image(tmp_path, tag))
    container = {
        "name": "web", "image": tag, "imagePullPolicy": "Never",
        "readinessProbe": {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 1},
    }  # fmt: skip
    cluster.client.create(path_of(namespace), pod("web", containers=[container]))
    service = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8000}]}
    services = f"/api/v1/namespaces/{namespace}/services"
    made = cluster.client.create(services, {"metadata": {"name": "pages"}, "spec": service})
    wait_ready(cluster.client, namespace, "web")

    def page(address: str) -> bytes:
        with closing(HTTPConnection(address, timeout=10)) as web:
            web.request("GET", "/who")
            return web.getresponse().read()

    address = cluster.client.get(path_of(namespace, "web"))["status"]["podIP"]
    assert page(f"{address}:8000") == b"paddock"
    wait_until("service", lambda: _serves(lambda: page(made["spec"]["clusterIP"])), within_s=60)
    code = "import urllib.request as r; print(r.urlopen('http://pages/who').read().decode())"

    def by_name() -> str:
        return cluster.kubectl_run("-n", namespace, "exec", "web", "--", "python", "-c", code)

    # The name servers hear of a service when they do, and what was not there is so for a while.
    wait_until("the name", lambda: _serves(by_name, CalledProcessError), within_s=90)
    assert by_name() == "paddock\n"
