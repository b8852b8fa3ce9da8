"""What a real node leaves on the machine outside its folder, and removing it."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from testbed import cgroups, network
from testbed.mounts import unmount_below
from testbed.node_files import socket_of

_LOG_LINKS = Path("/var/log/containers")
_CNI_RESULTS = Path("/var/lib/cni/results")
_SHIM_SOCKETS = Path("/run/containerd/s")


def remove(cluster: Path) -> None:
    """Remove the traces of the node of the cluster in this folder, whose own processes have ended.

    The runtime that would have cleaned up is gone: a pod's network namespace left behind would
    keep an address that the next cluster gives away again.
    """
    own = network.of(cluster)
    if own is None:
        return
    folder = cluster / "node"
    bundles = [*(folder / "run").glob("io.containerd.runtime.v2.task/k8s.io/*")]
    namespaces = {path for bundle in bundles if (path := _namespace_of(bundle))}
    sockets = {path for bundle in bundles if (path := _address_of(bundle))}
    cgroups.remove(own.namespace)
    for pid in _shims(folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for path in namespaces:
        network.remove_namespace(path)
    network.remove(own)
    unmount_below(cluster)
    for path in sockets:
        path.unlink(missing_ok=True)
    for link in _LOG_LINKS.glob("*"):
        if link.is_symlink() and os.readlink(link).startswith(f"{folder}/"):
            link.unlink()
    for words in (f"{own.namespace}-*", *(f"*-{bundle.name}-*" for bundle in bundles)):
        for result in _CNI_RESULTS.glob(words):
            result.unlink()
    for empty in (_LOG_LINKS, _CNI_RESULTS, _CNI_RESULTS.parent, _SHIM_SOCKETS,
                  _SHIM_SOCKETS.parent):  # fmt: skip
        with suppress(OSError):  # others use it, or it never was
            empty.rmdir()


def _namespace_of(bundle: Path) -> Path | None:
    """The network namespace the runtime made for a pod."""
    try:
        config = json.loads((bundle / "config.json").read_text())
    except (OSError, ValueError):
        return None
    for each in config.get("linux", {}).get("namespaces", ()):
        path = Path(each.get("path", ""))
        if each["type"] == "network" and path.name.startswith("cni-"):
            return path
    return None


def _address_of(bundle: Path) -> Path | None:
    try:
        address = (bundle / "address").read_text()
    except OSError:
        return None
    return Path(address.removeprefix("unix://"))


def _shims(folder: Path) -> Iterator[int]:
    """The processes that held the containers of this node: they outlive everything."""
    own = os.fsencode(socket_of(folder))
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if b"containerd-shim" in words[0] and own in words:
                yield int(path.parent.name)
