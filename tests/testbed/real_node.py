"""A node that runs containers: containerd, kubelet, kube-proxy, names and what enforces network
policies, in the cluster's own network."""

import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from testbed import cgroups, node_files
from testbed.control_plane import NODE_NAME, ControlPlane
from testbed.network import Network
from testbed.processes import Component
from testbed.waiting import wait_until

_PATIENCE_S = 60.0
_HEALTH_PORT = 20244
_NODE = f"/api/v1/nodes/{NODE_NAME}"


class RealNode:
    """The one real node of a cluster. Everything of it is in `<cluster>/node`."""

    def __init__(
        self,
        plane: ControlPlane,
        tools: Mapping[str, Path],
        network: Network,
        *,
        detached: bool = False,
    ) -> None:
        self.folder = plane.folder / "node"
        self.network = network
        self._plane = plane
        self._tools = tools
        self._detached = detached
        node, pki = self.folder, plane.folder / "pki"
        self._pki = pki
        self.containerd = self._component(
            "containerd", "containerd", ["--config", f"{node}/containerd.toml"]
        )
        self.kubelet = self._component(
            "kubelet", str(tools["kubelet"]),
            [f"--config={node}/kubelet.yaml", f"--kubeconfig={plane.folder}/node.kubeconfig",
             f"--root-dir={node}/kubelet", f"--cert-dir={node}/certificates",
             f"--hostname-override={NODE_NAME}", f"--node-ip={network.node}"],
        )  # fmt: skip
        self.proxy = self._component(
            "kube-proxy", str(tools["kube-proxy"]),
            [f"--config={node}/proxy.yaml", f"--hostname-override={NODE_NAME}"],
        )  # fmt: skip
        self.names = self._component(
            "coredns", str(tools["coredns"]), ["-conf", f"{node}/Corefile"]
        )

        self.policies = self._component(
            "kube-router", str(tools["kube-router"]),
            ["--run-firewall=true", "--run-router=false", "--run-service-proxy=false",
             f"--kubeconfig={plane.kubeconfig}", f"--hostname-override={NODE_NAME}",
             f"--service-cluster-ip-range={network.services}", f"--health-port={_HEALTH_PORT}"],
        )  # fmt: skip
        self._agents = (self.kubelet, self.proxy, self.names, self.policies)

    def start(self, images: Sequence[Path]) -> None:
        """Pods run and Services answer when this returns. `images` are loaded first.

        Raises NotReady, with the log that tells why.
        """
        self._write_files()
        cgroups.make(self.network.namespace)
        self.containerd.start()
        runtime = node_files.socket_of(self.folder)
        self._await("containerd", self.containerd, lambda: _listens(runtime))
        for image in images:
            load_image(self.folder, image)
        self.kubelet.start()
        self._await("node there", self.kubelet, lambda: self._plane.client.ask("GET", _NODE).ok)
        self.proxy.start()
        self.names.start()
        self.policies.start()
        self._await_ready()

    def _await_ready(self) -> None:
        self._await("node ready", self.kubelet, self.is_ready)
        self._await("kube-proxy", self.proxy, lambda: self._answers("127.0.0.1:10256/healthz"))
        self._await("coredns", self.names, lambda: self._answers(f"{self.network.node}:8181/ready"))
        self._await(
            "kube-router", self.policies, lambda: self._answers(f"127.0.0.1:{_HEALTH_PORT}/healthz")
        )

    def is_ready(self) -> bool:
        """Whether the API thinks so."""
        answer = self._plane.client.ask("GET", _NODE)
        conditions = answer.body["status"].get("conditions", []) if answer.ok else []
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def mend(self) -> None:
        """Whatever was done to it: it is ready when this returns."""
        for component in (self.containerd, *self._agents):
            component.thaw()
            if not component.running:
                component.start()
        self._await("node ready", self.kubelet, self.is_ready)

    def look_anew(self) -> None:
        """Let it look at a server that was away at once, and not after a minute's back-off.

        Pods go on meanwhile. Ready when this returns.
        """
        for component in self._agents:
            component.stop()
            component.start()
        self._await_ready()

    def _write_files(self) -> None:
        self.folder.mkdir()
        node_files.write_runtime(self.folder, self.network)
        node_files.write_kubelet(self.folder, self.network, self._pki)
        node_files.write_proxy(self.folder, self._plane.folder / "proxy.kubeconfig")
        node_files.write_names(self.folder, self.network, self._plane.kubeconfig)

    def _component(self, name: str, command: str, argv: Sequence[str]) -> Component:
        inside = self._plane.where.inside
        return Component(self._plane.folder, name, [command, *argv], self._detached, inside)

    def _answers(self, address: str) -> bool:
        """Whether a server inside answers 200."""
        host, _, path = address.partition("/")
        script = (
            "import sys, urllib.request as r; r.build_opener(r.ProxyHandler({}))"
            ".open(sys.argv[1], timeout=2)"
        )
        command = [*self.network.inside, "python3", "-c", script, f"http://{host}/{path}"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _await(self, what: str, component: Component, holds: Callable[[], bool]) -> None:
        wait_until(
            what, holds, within_s=_PATIENCE_S, log=component.log, alive=lambda: component.running
        )


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def load_image(folder: Path, image: Path) -> None:
    """Give the node in `folder` the images of a tar archive, OCI or Docker.

    Raises RuntimeError with what the runtime said.
    """
    runtime = node_files.socket_of(folder)
    command = ["ctr", "-a", str(runtime), "-n", "k8s.io", "images", "import", str(image)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{image} was not loaded: {done.stderr.strip()}")
