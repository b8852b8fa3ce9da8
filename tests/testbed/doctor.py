"""What each tier still lacks on this machine, one thing at a time, and how to get it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from testbed import binaries, cgroups, cluster, packages, postgres
from testbed.client import Refused
from testbed.go_modules import module_of
from testbed.mounts import filesystem_of
from testbed.places import clusters_folder
from testbed.tiers import Tier

_CONTROLLERS = frozenset({"cpu", "cpuset", "memory"})
_WHOLE_RANGE = ["0", "0", "4294967295"]


@dataclass(frozen=True)
class Verdict:
    """Whether a tier is possible here. `lack` is the first thing in the way, with its cure."""

    tier: str
    lack: str | None = None

    @property
    def possible(self) -> bool:
        return self.lack is None

    @property
    def sentence(self) -> str:
        return self.lack or "possible"


def examine() -> list[Verdict]:
    """One verdict for each tier, the lowest first. Leaves nothing changed."""
    try:
        given = cluster.existing()
    except (OSError, ValueError, Refused) as error:
        return [Verdict(tier, f"{cluster.EXISTING}: {error}") for tier in Tier]
    if given is not None:
        return [Verdict(tier, _lack_of_given(tier, given.tiers)) for tier in Tier]
    return [Verdict(tier, lack_of(tier)) for tier in Tier]


def examine_postgres() -> Verdict:
    """Whether a PostgreSQL of the tests' own is possible."""
    return Verdict(postgres.MARK, postgres.lack())


def _lack_of_given(tier: Tier, tiers: frozenset[Tier]) -> str | None:
    return None if tier in tiers else f"the cluster of {cluster.EXISTING} has no such node"


def lack_of(tier: Tier) -> str | None:
    """What a cluster of our own lacks for this tier, with those below it."""
    hindrance = hindrance_of(tier)
    if hindrance is not None:
        return hindrance
    for need, package in packages.lacking(tier).items():
        return f"{need} is missing; as root on Debian: apt-get install {package}"
    for name in binaries.missing(binaries.tools_of(tier)):
        about = module_of(name).about
        return f"{name} is not built; `make cluster-tools` builds it once (about {about})"
    return _trial() if tier is Tier.REALNODE else None


def hindrance_of(tier: Tier) -> str | None:
    """What of the machine itself is in the way: nothing we could install or build."""
    if sys.platform != "linux":
        return "the processes of a cluster need Linux"
    if not packages.can_install() and (lacking := packages.lacking(tier)):
        names = " ".join(sorted(set(lacking.values())))
        return f"{', '.join(lacking)} missing; as root on Debian: apt-get install {names}"
    if tier is not Tier.REALNODE:
        return None
    if os.getuid() != 0:
        return "a real node needs root: run as root"
    if Path("/proc/self/uid_map").read_text().split() != _WHOLE_RANGE:
        return "a real node needs the machine's own root, not that of a user namespace"
    if missing := sorted(_CONTROLLERS - cgroups.controllers()):
        return f"the kernel has no control group controller {missing[0]}"
    if "overlay" not in Path("/proc/filesystems").read_text():
        return "the kernel has no overlayfs; try: modprobe overlay"
    if filesystem_of(clusters_folder()) == "overlay":
        return f"{clusters_folder()} is on overlayfs already; set TMPDIR to a folder on a disk"
    return None


def _trial() -> str | None:
    """Make a network namespace, and remove it."""
    name = f"paddock-trial-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return f"no network namespace can be made here: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return None
