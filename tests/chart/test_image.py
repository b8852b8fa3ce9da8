"""The project's image: how large it is, and as whom it runs."""

import json
import tarfile
from pathlib import Path

import pytest

from chart.installation import IMAGE
from testbed.cluster import Cluster
from testbed.image_build import build_image
from testbed.places import CHECKOUT
from testbed.pods import path_of, pod
from testbed.waiting import wait_until

pytestmark = [pytest.mark.realnode, pytest.mark.timeout(1200)]

MOST_BYTES = 80_000_000
"""Of what is ours. With python:3.13-slim, which has 120 MB, that stays below 200 MB."""

_TRIES = """
import os
print("user", os.getuid(), os.getgid())
for folder in ("/", "/opt/paddock", "/usr/local/lib", "/tmp"):
    try:
        open(f"{folder}/probe", "w").close()
        print("wrote to", folder)
    except OSError as why:
        print("could not write to", folder, why.errno)
"""


def layer_sizes(archive: Path) -> list[int]:
    """Bytes of each layer of a Docker archive, the base's first."""
    with tarfile.open(archive) as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest is not None
        layers: list[str] = json.load(manifest)[0]["Layers"]
        return [_size(tar, name) for name in layers]


def _size(tar: tarfile.TarFile, name: str) -> int:
    """Of the file, through links between layers that are the same."""
    content = tar.extractfile(name)
    assert content is not None
    return content.seek(0, 2)


def test_what_is_added_to_the_base_is_small(cluster: Cluster) -> None:
    base, *ours = layer_sizes(build_image(CHECKOUT, IMAGE))

    print(f"base {base / 1e6:.1f} MB, ours {sum(ours) / 1e6:.1f} MB")
    assert sum(ours) <= MOST_BYTES


def test_it_runs_as_nobody_on_a_read_only_root(
    cluster: Cluster, namespace: str, image: str
) -> None:
    """The kubelet itself refuses a root user with runAsNonRoot."""
    security = {
        "runAsNonRoot": True, "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    container = {
        "name": "main", "image": image, "imagePullPolicy": "Never", "command": ["python", "-c"],
        "args": [_TRIES], "securityContext": security,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }  # fmt: skip
    tmp = [{"name": "tmp", "emptyDir": {}}]
    cluster.client.create(path_of(namespace), pod("probe", containers=[container], volumes=tmp))

    def over() -> bool:
        status = cluster.client.get(path_of(namespace, "probe"))["status"]
        return status.get("phase") in ("Succeeded", "Failed")

    wait_until("probe over", over, within_s=120)
    said = cluster.kubectl_run("-n", namespace, "logs", "probe").splitlines()
    assert said[0] == "user 65532 65532"
    assert said[1:4] == [f"could not write to {folder} 30" for folder in (
        "/", "/opt/paddock", "/usr/local/lib",
    )]  # fmt: skip
    assert said[4] == "wrote to /tmp"


@pytest.mark.parametrize("args", [["version"], ["operator", "--help"], ["orchestrator", "--help"]])
def test_one_image_is_operator_orchestrator_and_runner(
    cluster: Cluster, namespace: str, image: str, args: list[str]
) -> None:
    container = {"name": "main", "image": image, "imagePullPolicy": "Never", "args": args}
    cluster.client.create(path_of(namespace), pod("probe", containers=[container]))

    def done() -> bool:
        status = cluster.client.get(path_of(namespace, "probe"))["status"]
        assert status.get("phase") != "Failed"
        return bool(status.get("phase") == "Succeeded")

    wait_until("probe done", done, within_s=120)
