"""Where tools come from, and when a build of ours is no longer the right one."""

import os
from pathlib import Path

import pytest

from testbed import binaries
from testbed.go_modules import HELM, KUBERNETES, MODULES, module_of
from testbed.go_toolchain import version_of
from testbed.tiers import Tier


def _command(folder: Path, name: str, says: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def _empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_named_folder_comes_before_the_cache_and_that_before_path(tmp_path: Path) -> None:
    says = f"Kubernetes v{KUBERNETES.version}"
    on_path = _command(tmp_path / "path", "kube-apiserver", says)
    environ = {"PATH": str(on_path.parent)}
    assert binaries.find("kube-apiserver", environ) == binaries.Tool(
        "kube-apiserver", on_path, "PATH"
    )

    cached = _command(KUBERNETES.built, "kube-apiserver")
    found = binaries.find("kube-apiserver", environ)
    assert found is not None
    assert found.path == cached

    assets = _command(tmp_path / "assets", "kube-apiserver")
    found = binaries.find("kube-apiserver", {**environ, binaries.ASSETS: str(assets.parent)})
    assert found is not None
    assert found.path == assets


def test_what_the_named_folder_lacks_is_looked_for_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    _command(KUBERNETES.built, "kube-scheduler")

    found = binaries.find("kube-scheduler", {binaries.ASSETS: str(tmp_path / "assets")})

    assert found is not None
    assert found.source == "cache"


@pytest.mark.parametrize(
    ("name", "says", "is_fit"),
    [
        ("kube-apiserver", f"Kubernetes v{KUBERNETES.version}", True),
        ("kube-apiserver", "Kubernetes v1.20.1", False),
        ("kubectl", "Client Version: v1.32.0-dispatcher", False),
        ("etcd", "etcd Version: 3.4.23\nGit SHA: Not provided", True),
        ("etcd", "etcd Version: 3.3.9", False),
        ("kwok", "no version", False),
        ("helm", "v3.2.1+gfe51cd1", False),
        ("helm", f"v{HELM.version}+gabc", True),
    ],
)
def test_a_tool_of_the_machine_must_be_of_the_right_version(
    name: str, says: str, is_fit: bool
) -> None:
    assert binaries.fits(name, says) is is_fit


def test_our_own_program_is_never_taken_from_path(tmp_path: Path) -> None:
    _command(tmp_path, "pause", "1.2.3")

    assert binaries.find("pause", {"PATH": str(tmp_path)}) is None


def test_a_missing_tool_is_named_with_what_builds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(LookupError, match=r"etcd.*make cluster-tools"):
        binaries.locate(["etcd"])


def test_every_tool_of_every_tier_is_built_by_some_module() -> None:
    for name in binaries.tools_of(Tier.REALNODE):
        assert name in {tool.name for tool in module_of(name).tools}


def test_each_tier_needs_what_those_below_it_need() -> None:
    api, fakenode, realnode = (set(binaries.tools_of(tier)) for tier in Tier)

    assert api < fakenode < realnode


def test_the_name_of_a_build_tells_version_and_content() -> None:
    keys = {module.key for module in MODULES}

    assert len(keys) == len(MODULES)
    assert KUBERNETES.key.startswith(f"{KUBERNETES.version}-")


def test_no_module_file_names_where_it_was_fetched_from() -> None:
    for module in MODULES:
        for name in ("go.mod", "go.sum"):
            assert "://" not in (module.folder / name).read_text()


@pytest.mark.parametrize(
    ("text", "version"),
    [("go1.26.8", (1, 26)), ("go version go1.9 linux/amd64", (1, 9)), ("", (0, 0))],
)
def test_the_version_of_a_go(text: str, version: tuple[int, int]) -> None:
    assert version_of(text) == version
