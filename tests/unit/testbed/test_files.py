"""What is written for the cluster's parts, and read of the machine."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from testbed import cgroups, crds, kubeconfig, node_files
from testbed.images import write_image
from testbed.mounts import filesystem_of
from testbed.network import Network
from testbed.places import CHECKOUT, checkout_name
from testbed.plugin import required
from testbed.ports import free_ports
from testbed.tiers import Tier

_NETWORK = Network("c0ffee", 7)


def test_a_tier_includes_those_below_it() -> None:
    assert Tier.API.including() == (Tier.API,)
    assert Tier.REALNODE.including() == tuple(Tier)


@pytest.mark.parametrize(
    ("environ", "tiers"),
    [
        ({}, set()),
        ({"CI": "true"}, {*Tier, "postgres"}),
        ({"CI": "false"}, set()),
        ({"PADDOCK_REQUIRE_TIERS": "api, fakenode"}, {Tier.API, Tier.FAKENODE}),
        ({"PADDOCK_REQUIRE_TIERS": "postgres"}, {"postgres"}),
        ({"CI": "true", "PADDOCK_REQUIRE_TIERS": ""}, set()),
    ],
)
def test_which_tiers_are_required(environ: dict[str, str], tiers: set[str]) -> None:
    assert required(environ) == tiers


def test_an_unknown_tier_cannot_be_required() -> None:
    with pytest.raises(ValueError, match="moon"):
        required({"PADDOCK_REQUIRE_TIERS": "moon"})


def test_names_of_interfaces_and_sockets_are_short_enough() -> None:
    network = Network("pytest-4194304", 63)

    assert len(network.link) <= 15
    assert (
        len(str(node_files.socket_of(Path("/tmp/paddock-testbed-65534/pytest-4194304/node")))) < 90
    )


def test_two_networks_share_no_address() -> None:
    other = Network("other", 8)

    assert {_NETWORK.pods, _NETWORK.services}.isdisjoint({other.pods, other.services})
    assert _NETWORK.where.for_nodes


def test_what_kubelet_and_runtime_are_told_fits_together(tmp_path: Path) -> None:
    kubelet = yaml.safe_load(node_files.write_kubelet(tmp_path, _NETWORK, tmp_path).read_text())
    runtime = node_files.write_runtime(tmp_path, _NETWORK).read_text()

    assert kubelet["containerRuntimeEndpoint"] == f"unix://{node_files.socket_of(tmp_path)}"
    assert f'address = "{node_files.socket_of(tmp_path)}"' in runtime
    assert kubelet["cgroupRoot"] == f"/{_NETWORK.namespace}"
    bridge = json.loads((tmp_path / "cni" / "paddock.conflist").read_text())
    assert bridge["plugins"][0]["ipam"]["ranges"][0][0]["subnet"] == _NETWORK.pods


def test_a_kubeconfig_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "config"
    (tmp_path / "ca.crt").write_bytes(b"")
    kubeconfig.write(path, server="http://127.0.0.1:1", ca=tmp_path / "ca.crt", token="t")

    access = kubeconfig.read(path)

    assert (access.server, access.token, access.tls) == ("http://127.0.0.1:1", "t", None)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_kubeconfig_with_a_login_command_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config"
    (tmp_path / "ca.crt").write_bytes(b"")
    kubeconfig.write(path, server="http://127.0.0.1:1", ca=tmp_path / "ca.crt", token="t")
    content = json.loads(path.read_text())
    content["users"][0]["user"] = {"exec": {"command": "login"}}
    path.write_text(json.dumps(content))

    with pytest.raises(ValueError, match="exec"):
        kubeconfig.read(path)


def test_definitions_are_read_from_every_file_and_document(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("kind: B\n")
    (tmp_path / "a.yaml").write_text("kind: A1\n---\nkind: A2\n---\n")

    assert [each["kind"] for each in crds.read_definitions(tmp_path)] == ["A1", "A2", "B"]
    assert crds.read_definitions(tmp_path / "none") == []


def test_an_image_names_its_parts(tmp_path: Path) -> None:
    path = write_image(tmp_path / "i.tar", "localhost/x:test", {"x": b"#!"}, ["/x"])

    with tarfile.open(path) as tar:
        manifest = json.load(tar.extractfile("manifest.json") or tmp_path.open())[0]
        assert {manifest["Config"], *manifest["Layers"], "manifest.json"} == {*tar.getnames()}
    assert manifest["RepoTags"] == ["localhost/x:test"]


def test_ports_differ_and_lie_below_what_connections_get() -> None:
    ports = free_ports(20)

    assert len({*ports}) == 20
    assert all(20000 <= port < 30000 for port in ports)


def test_a_process_beside_this_one_finds_other_ports_free() -> None:
    """Though nobody listens on them yet; nor are they given again here, soon."""
    program = "from testbed.ports import free_ports; print(*free_ports(100))"
    here = {*free_ports(100)}
    beside = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(CHECKOUT / "tests")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert here.isdisjoint(map(int, beside.stdout.split()))
    assert here.isdisjoint(free_ports(100))


def test_the_innermost_mount_tells_the_file_system() -> None:
    table = "overlay / overlay rw 0 0\n/dev/x /tmp ext4 rw 0 0\n"

    assert filesystem_of(Path("/tmp/x"), table) == "ext4"
    assert filesystem_of(Path("/var"), table) == "overlay"


def test_hierarchies_of_both_versions_are_found(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
        "/dev/x / ext4 rw 0 0\n"
    )

    assert cgroups.hierarchies(mounts) == [
        (Path("/sys/fs/cgroup/cpu"), False),
        (Path("/sys/fs/cgroup/unified"), True),
    ]


def test_the_name_of_a_checkout_stays() -> None:
    assert checkout_name() == checkout_name()
