"""Small pods for tests, and watching what becomes of them."""

from typing import Any

from testbed.client import ApiClient
from testbed.waiting import wait_until

READY_AFTER = "paddock.test/ready-after"
"""Annotation of a fake pod: how long until it is ready, such as `2s`."""

DRAIN = "paddock.test/drain"
"""Annotation of a fake pod: how long it goes on after it was told to end; then it exits with 0.
Without it, it hears nothing and is killed when its grace period is over."""

PAUSE_IMAGE = "localhost/paddock/pause:test"
"""On every real node: sleeps, and exits with 0 at SIGTERM."""


def pod(name: str, **spec: Any) -> dict[str, Any]:
    """A pod of one container for any node but a fake one. `spec` replaces the pod's fields."""
    container = {"name": "main", "image": PAUSE_IMAGE, "imagePullPolicy": "Never"}
    fields = {
        "containers": [container], "restartPolicy": "Never", "terminationGracePeriodSeconds": 30,
    }  # fmt: skip
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {**fields, **spec},
    }  # fmt: skip


def fake_pod(name: str, annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """A pod for the fake nodes only."""
    made = pod(name, **spec)
    made["metadata"]["annotations"] = annotations or {}
    made["spec"].setdefault("nodeSelector", {"type": "fake"})
    toleration = {"key": "kwok.x-k8s.io/node", "operator": "Exists", "effect": "NoSchedule"}
    made["spec"].setdefault("tolerations", [toleration])
    return made


def path_of(namespace: str, name: str = "") -> str:
    """The path of a pod, or of all of a namespace."""
    return f"/api/v1/namespaces/{namespace}/pods" + (f"/{name}" if name else "")


def is_ready(client: ApiClient, namespace: str, name: str) -> bool:
    conditions = client.get(path_of(namespace, name))["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def wait_ready(client: ApiClient, namespace: str, name: str, within_s: float = 60) -> float:
    """How many seconds it took. Raises NotReady."""

    def ready() -> bool:
        return is_ready(client, namespace, name)

    return wait_until(f"pod {name} ready", ready, within_s=within_s)


def wait_gone(client: ApiClient, namespace: str, name: str, within_s: float = 60) -> float:
    """How many seconds it took until there is no such pod."""

    def gone() -> bool:
        return client.ask("GET", path_of(namespace, name)).status == 404

    return wait_until(f"pod {name} gone", gone, within_s=within_s)


def play_kubelet(client: ApiClient, namespace: str, name: str, *, ready: bool) -> None:
    """Say of a pod what a kubelet would: it runs, and is ready or not. Where there is no node."""
    conditions = [{"type": kind, "status": str(ready)} for kind in ("Ready", "ContainersReady")]
    status = {"phase": "Running", "conditions": conditions}
    client.merge(f"{path_of(namespace, name)}/status", {"status": status})


def evict(client: ApiClient, namespace: str, name: str, *, seen: str = "") -> int:
    """Ask for the pod's eviction; the status of the answer: 201 going, 429 protected.

    With `seen`, its resource version, 409 if it may go but is no longer what was seen: the API
    server lets any pod go that is ending already.
    """
    eviction: dict[str, Any] = {
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
    }  # fmt: skip
    if seen:
        eviction["deleteOptions"] = {"preconditions": {"resourceVersion": seen}}
    return client.ask("POST", f"{path_of(namespace, name)}/eviction", eviction).status
