"""A network of its own for a cluster with a real node.

Fixed ports, the rules of kube-proxy and forwarding stay inside; nothing leads out of the machine.
The machine itself is on the pods' bridge, so tests reach pods and Services, and pods reach tests.
"""

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from testbed.control_plane import Where

BRIDGE = "pdk0"
_SLOTS = range(64)
_HARDWARE = "02:00:0a:e7:00:01"
"""Said, not left to the bridge: it would take another with each pod, and the machine would go on
sending to the one before."""


@dataclass(frozen=True)
class Network:
    """The names and addresses of one cluster's network. `slot` keeps two clusters apart."""

    cluster: str
    slot: int

    @property
    def namespace(self) -> str:
        return f"paddock-{self.cluster}"

    @property
    def link(self) -> str:
        """The machine's end of the cable. Interfaces have short names."""
        return f"pdk{hashlib.sha256(self.cluster.encode()).hexdigest()[:8]}"

    @property
    def node(self) -> str:
        """The node's address, and the pods' gateway."""
        return f"10.231.{self.slot}.1"

    @property
    def machine(self) -> str:
        """Where pods reach the machine that runs the tests."""
        return f"10.231.{self.slot}.2"

    @property
    def pods(self) -> str:
        return f"10.231.{self.slot}.0/24"

    @property
    def first_pod(self) -> str:
        return f"10.231.{self.slot}.10"

    @property
    def services(self) -> str:
        return f"10.232.{self.slot}.0/24"

    @property
    def first_service(self) -> str:
        return f"10.232.{self.slot}.1"

    @property
    def where(self) -> Where:
        """For the control plane."""
        return Where(self.node, self.services, self.first_service, self.inside, for_nodes=True)

    @property
    def inside(self) -> Sequence[str]:
        """Executes a command in it. Not `ip netns exec`, which would hide the cgroups."""
        return ("nsenter", f"--net=/run/netns/{self.namespace}")


def of(cluster: Path) -> Network | None:
    """The network of the cluster in this folder, if it has one."""
    record = cluster / "network"
    return Network(cluster.name, int(record.read_text())) if record.exists() else None


def create(cluster: Path) -> Network:
    """Make the network of the cluster in this folder, on addresses the machine does not use.

    Raises RuntimeError with what `ip` said.
    """
    with _locked(cluster.parent):
        network = Network(cluster.name, _free_slot())
        (cluster / "network").write_text(str(network.slot))
        name = network.namespace
        _ip("netns", "add", name)
        _ip("link", "add", network.link, "type", "veth", "peer", "name", "up0", "netns", name)
        _ip("addr", "add", f"{network.machine}/24", "dev", network.link)
        _ip("link", "set", network.link, "up")
    for words in (
        "link set lo up",
        f"link add {BRIDGE} address {_HARDWARE} type bridge",
        f"addr add {network.node}/24 dev {BRIDGE}",
        f"link set {BRIDGE} up",
        f"link set up0 master {BRIDGE}",
        "link set up0 up",
        f"route add default dev {BRIDGE}",
    ):
        _ip("-n", name, *words.split())
    _ip("route", "add", network.services, "via", network.node)
    return network


def remove(network: Network) -> None:
    """Its cable and routes go with it."""
    with suppress(RuntimeError):
        _ip("link", "del", network.link)
    with suppress(RuntimeError):
        _ip("netns", "del", network.namespace)


def remove_namespace(path: Path) -> None:
    """One that the runtime made for a pod."""
    with suppress(RuntimeError):
        _ip("netns", "del", path.name)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _free_slot() -> int:
    used = _ip("-o", "route", "show", "table", "all") + _ip("-o", "addr", "show")
    for slot in _SLOTS:
        if f"10.231.{slot}." not in used and f"10.232.{slot}." not in used:
            return slot
    raise RuntimeError("all networks of the testbed are in use: 10.231.0.0 to 10.231.63.0")


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
