"""Bringing a cluster up, and down without a trace."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from testbed import binaries, network, node_traces, real_node
from testbed.client import ApiClient
from testbed.control_plane import ControlPlane, Where
from testbed.fake_nodes import FakeNodes
from testbed.images import write_image
from testbed.network import Network
from testbed.places import clusters_folder, keep_logs, make_private
from testbed.pods import PAUSE_IMAGE
from testbed.processes import end_all, is_running
from testbed.real_node import RealNode
from testbed.tiers import Tier

_KUBECTL_S = 180.0
_HELM_S = 900.0
Say = Callable[[str], None]
EXISTING = "PADDOCK_TEST_KUBECONFIG"
"""Names a cluster to be used as it is. The ordinary KUBECONFIG never does: tests break things."""


@dataclass(eq=False)
class Cluster:
    """A running cluster."""

    kubeconfig: Path
    kubectl: Path
    helm: Path
    tiers: frozenset[Tier]
    folder: Path | None = None
    """Where it keeps everything; None if no testbed made it."""
    control_plane: ControlPlane | None = None
    """To break and mend it, as the nodes; None if it is not this process's."""
    fake_nodes: FakeNodes | None = None
    real_node: RealNode | None = None
    client: ApiClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = ApiClient(self.kubeconfig)

    @property
    def machine(self) -> str:
        """The address at which real pods reach the machine that runs the tests. LookupError if
        we made no network."""
        return self._network.machine

    def load_image(self, image: Path) -> None:
        """Give the real node the images of a tar archive. RuntimeError if that fails, LookupError
        if it is no node of ours."""
        real_node.load_image(self._own_folder / "node", image)

    @property
    def _own_folder(self) -> Path:
        if self.folder is None:
            raise LookupError(f"the cluster of {EXISTING} was not made by the testbed")
        return self.folder

    @property
    def _network(self) -> Network:
        own = network.of(self._own_folder)
        if own is None:
            raise LookupError(f"the cluster in {self.folder} has no real node")
        return own

    def kubectl_run(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints. Raises CalledProcessError if it fails."""
        done = subprocess.run(
            [str(self.kubectl), *arguments], env=self._environ, input=stdin, text=True,
            stdout=subprocess.PIPE, check=True, timeout=_KUBECTL_S,
        )  # fmt: skip
        return done.stdout

    def helm_run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """What helm answers: exit code and both outputs. It waits for as long as it is told."""
        return subprocess.run(
            [str(self.helm), *arguments], env=self._environ, text=True, capture_output=True,
            check=False, timeout=_HELM_S,
        )  # fmt: skip

    @property
    def _environ(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}


def existing(environ: Mapping[str, str] = os.environ) -> Cluster | None:
    """The cluster that `PADDOCK_TEST_KUBECONFIG` names, if it is set.

    Its tiers are what its nodes allow. Raises OSError or ValueError if it cannot be used.
    """
    path = environ.get(EXISTING)
    if not path:
        return None
    client = ApiClient(Path(path))
    nodes = client.get("/api/v1/nodes")["items"]
    tiers = {Tier.API}
    for node in nodes:
        fake = node["metadata"].get("annotations", {}).get("kwok.x-k8s.io/node") == "fake"
        tiers.add(Tier.FAKENODE if fake else Tier.REALNODE)
    return Cluster(
        Path(path), _tool("kubectl"), _tool("helm"), frozenset(tiers),
        Path(path).parent if Path(path).with_name("tiers.json").exists() else None,
    )  # fmt: skip


def _tool(name: str) -> Path:
    """Ours, else whatever the machine has."""
    found = binaries.find(name)
    return found.path if found else Path(shutil.which(name) or name)


def up(
    name: str,
    tiers: frozenset[Tier],
    *,
    detached: bool = False,
    say: Say = lambda _: None,
    apiserver_flags: Sequence[str] = (),
    controller_flags: Sequence[str] = (),
) -> Cluster:
    """A new cluster with these tiers, ready. Unless `detached` it ends with this process.

    Raises FileExistsError if one of this name is up, LookupError if tools are not built,
    NotReady if something did not start: then nothing of it is left but its logs.
    """
    tiers = tiers | {Tier.API}
    tools = binaries.locate(tool for tier in tiers for tool in binaries.NEEDED[tier])
    folder = make_private(clusters_folder()) / name
    folder.mkdir(mode=0o700)
    if not detached:
        _sign(folder)
    try:
        return _start(folder, tiers, tools, detached, apiserver_flags, controller_flags)
    except BaseException:
        say(f"the logs are kept in {keep_logs(folder)}")
        down(folder)
        raise


def _sign(folder: Path) -> None:
    """Say whose the cluster is. At once: another process may look at any moment."""
    argv = Path(f"/proc/{os.getpid()}/cmdline").read_text().rstrip("\0").split("\0")
    unfinished = folder / "owner.unfinished"
    unfinished.write_text(json.dumps({"pid": os.getpid(), "argv": argv}))
    unfinished.rename(folder / "owner.json")


def _start(
    folder: Path,
    tiers: frozenset[Tier],
    tools: Mapping[str, Path],
    detached: bool,
    apiserver_flags: Sequence[str],
    controller_flags: Sequence[str],
) -> Cluster:
    (folder / "tiers.json").write_text(json.dumps(sorted(tiers)))
    own = network.create(folder) if Tier.REALNODE in tiers else None
    plane = ControlPlane(
        folder, tools, own.where if own else Where(), detached=detached,
        apiserver_flags=apiserver_flags, controller_flags=controller_flags,
    )  # fmt: skip
    plane.start()
    fake_nodes = FakeNodes(plane, tools, detached=detached) if Tier.FAKENODE in tiers else None
    if fake_nodes is not None:
        fake_nodes.start()
    node = RealNode(plane, tools, own, detached=detached) if own is not None else None
    if node is not None:
        pause = write_image(
            folder / "pause.tar", PAUSE_IMAGE, {"pause": tools["pause"].read_bytes()}, ["/pause"]
        )
        node.start([pause])
    return Cluster(
        plane.kubeconfig, tools["kubectl"], tools["helm"], tiers, folder, plane, fake_nodes, node
    )


def down(folder: Path, say: Say = lambda _: None) -> None:
    """End every process of the cluster in `folder` and remove its traces; also after a crash.

    Doing it twice, or to a cluster that never came up, does no harm.
    """
    end_all(folder, say)
    node_traces.remove(folder)
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # another cluster is in it, or it is gone
        folder.parent.rmdir()


def abandoned() -> Iterator[Path]:
    """The folders of clusters whose owner died without taking them down."""
    for path in clusters_folder().glob("*/owner.json"):
        owner = json.loads(path.read_text())
        if not is_running(owner["pid"], owner["argv"]):
            yield path.parent


def sweep(say: Say = lambda _: None) -> None:
    """Take down what dead owners left."""
    for folder in [*abandoned()]:
        say(f"removing the cluster {folder.name}, left by a process that died")
        down(folder, say)
