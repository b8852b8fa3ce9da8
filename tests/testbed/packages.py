"""The machine's own commands that the tiers run, and the Debian packages they are in."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from testbed.tiers import Tier

Needs = Mapping[str, str]
"""A command, or a file by its path, and its package."""

NEEDS: Mapping[Tier, Needs] = {
    Tier.API: {"openssl": "openssl"},
    Tier.FAKENODE: {},
    Tier.REALNODE: {
        "ip": "iproute2",
        "nsenter": "util-linux",
        "umount": "mount",
        "containerd": "containerd",
        "ctr": "containerd",
        "runc": "runc",
        "/usr/lib/cni/bridge": "containernetworking-plugins",
        "/usr/lib/cni/host-local": "containernetworking-plugins",
        "iptables": "iptables",
        "conntrack": "conntrack",
        "ipset": "ipset",
        "dockerd": "docker.io",
        "docker": "docker.io",
        "debootstrap": "debootstrap",
    },
}

PROMETHEUS: Needs = {"prometheus": "prometheus", "promtool": "prometheus"}


def is_there(need: str) -> bool:
    """Whether a command is on PATH, or the file exists."""
    if need.startswith("/"):
        return Path(need).exists()
    return shutil.which(need, path=_path()) is not None


def _path() -> str:
    """PATH with the folders of administration, which an ordinary user's may lack."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def lacking(tier: Tier) -> dict[str, str]:
    """What this tier and those below it need and the machine has not."""
    return {n: p for one in tier.including() for n, p in missing(NEEDS[one]).items()}


def missing(needs: Needs) -> dict[str, str]:
    """Those of `needs` that the machine has not."""
    return {need: package for need, package in needs.items() if not is_there(need)}


def can_install() -> bool:
    return os.getuid() == 0 and shutil.which("apt-get") is not None


def install(packages: Iterable[str]) -> None:
    """Install them without starting their services. Raises RuntimeError with apt's words."""
    environ = {
        **os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1",
    }  # fmt: skip
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    done = _run(command, environ)
    if done.returncode != 0:  # the lists may be old, or there may be none
        _run(["apt-get", "update", "--quiet"], environ)
        done = _run(command, environ)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}")


def _run(command: list[str], environ: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, env=environ, text=True, check=False, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
