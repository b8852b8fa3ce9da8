"""The corner of the control groups in which a real node keeps its pods."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_CPUSET = ("cpuset.cpus", "cpuset.mems")
_V2_CONTROLLERS = "+cpu +cpuset +memory +pids"
_KILL_S = 10.0


def hierarchies(mounts: Path = Path("/proc/mounts")) -> list[tuple[Path, bool]]:
    """Where control groups are mounted, and whether that is version 2."""
    lines = (line.split() for line in mounts.read_text().splitlines())
    return [(Path(words[1]), words[2] == "cgroup2") for words in lines if words[2][:6] == "cgroup"]


def controllers(listing: Path = Path("/proc/cgroups")) -> frozenset[str]:
    """The controllers that can be used, through either version."""
    lines = (line.split() for line in listing.read_text().splitlines()[1:])
    found = {words[0] for words in lines if words[3] == "1"}
    for root, is_v2 in hierarchies():
        if is_v2:
            found.update((root / "cgroup.controllers").read_text().split())
    return frozenset(found)


def make(name: str) -> None:
    """A group of that name in every hierarchy, ready to hold others."""
    for root, is_v2 in hierarchies():
        group = root / name
        group.mkdir(exist_ok=True)
        if is_v2:
            for each in (root, group):
                with suppress(OSError):  # in a hybrid layout version 2 has no controllers
                    (each / "cgroup.subtree_control").write_text(_V2_CONTROLLERS)
        else:
            for file in _CPUSET:
                if (root / file).exists():
                    (group / file).write_text((root / file).read_text())


def remove(name: str) -> None:
    """Kill what is in the groups of that name, and remove them with all below."""
    deadline = time.monotonic() + _KILL_S
    while (pids := {*_processes(name)}) and time.monotonic() < deadline:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    for root, _ in hierarchies():
        for folder, _, _ in os.walk(root / name, topdown=False):
            with suppress(OSError):
                os.rmdir(folder)


def _processes(name: str) -> Iterator[int]:
    for root, _ in hierarchies():
        for file in (root / name).rglob("cgroup.procs"):
            with suppress(OSError):  # the group went meanwhile
                yield from map(int, file.read_text().split())
