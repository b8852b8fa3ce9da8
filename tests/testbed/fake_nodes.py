"""Nodes that only pretend: kwok answers for them and for their pods, as stages.yaml says."""

from collections.abc import Mapping
from pathlib import Path

from testbed.client import ApiClient
from testbed.control_plane import ControlPlane
from testbed.places import TESTBED
from testbed.processes import Component
from testbed.waiting import wait_until

_ANNOTATION = {"kwok.x-k8s.io/node": "fake"}
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_PATIENCE_S = 60.0


class FakeNodes:
    """The fake nodes of a cluster. Their taint keeps every pod away that does not tolerate it."""

    def __init__(
        self, plane: ControlPlane, tools: Mapping[str, Path], *, detached: bool = False
    ) -> None:
        argv = [
            str(tools["kwok"]), f"--kubeconfig={plane.kubeconfig}",
            f"--config={TESTBED / 'stages.yaml'}",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
            "--node-lease-duration-seconds=40", "--server-address=127.0.0.1:0",
        ]  # fmt: skip
        self.kwok = Component(plane.folder, "kwok", argv, detached, plane.where.inside)
        self._client = plane.client
        self._names: set[str] = set()

    def start(self, count: int = 2) -> None:
        """`count` nodes ready when this returns. Raises NotReady."""
        self.kwok.start()
        names = [f"fake-{number}" for number in range(count)]
        for name in names:
            self.add(name)
        for name in names:
            wait_until(
                f"node {name} ready", lambda name=name: _is_ready(self._client, name),  # type: ignore[misc]
                within_s=_PATIENCE_S, log=self.kwok.log, alive=lambda: self.kwok.running,
            )  # fmt: skip

    def add(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """One more node; it gets ready by and by."""
        taint = {"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}
        node = {
            "metadata": {
                "name": name, "annotations": _ANNOTATION,
                "labels": {"type": "fake", "kubernetes.io/hostname": name, **(labels or {})},
            },
            "spec": {"taints": [taint]},
        }  # fmt: skip
        self._client.create("/api/v1/nodes", node)
        self._names.add(name)

    def mend(self) -> None:
        """Let it look at the server anew at once.

        It leases its nodes, and would wait for the end of the leases it held under another id.
        """
        self.kwok.stop()
        for name in self._names:
            self._client.ask("DELETE", f"{_LEASES}/{name}")
        self.kwok.start()

    def remove(self, name: str) -> None:
        """The node is gone; its pods become orphans for the controllers to find."""
        self._client.delete(f"/api/v1/nodes/{name}")
        self._names.discard(name)


def _is_ready(client: ApiClient, name: str) -> bool:
    conditions = client.get(f"/api/v1/nodes/{name}").get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
