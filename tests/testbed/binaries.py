"""Where each tool of the cluster comes from."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed.go_build import Say, build
from testbed.go_modules import KUBERNETES, MODULES, module_of
from testbed.tiers import Tier

ASSETS = "KUBEBUILDER_ASSETS"
OLDEST_ETCD = (3, 4)
_ASKS_VERSION: Mapping[str, list[str]] = {
    "kubectl": ["version", "--client"], "coredns": ["-version"], "helm": ["version", "--short"],
}  # fmt: skip
OURS = frozenset({"pause"})
"""Never taken from elsewhere."""

NEEDED: Mapping[Tier, tuple[str, ...]] = {
    Tier.API: (
        "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "helm",
    ),
    Tier.FAKENODE: ("kwok",),
    Tier.REALNODE: ("kubelet", "kube-proxy", "coredns", "kube-router", "pause"),
}  # fmt: skip
"""What each tier needs beyond those below it."""


@dataclass(frozen=True)
class Tool:
    """A command that was found, and which of the places it was found in."""

    name: str
    path: Path
    source: str


def tools_of(tier: Tier) -> tuple[str, ...]:
    """The tools a cluster of this tier runs."""
    return tuple(name for one in tier.including() for name in NEEDED[one])


def find(name: str, environ: Mapping[str, str] = os.environ) -> Tool | None:
    """The tool from the first place that has it: the folder that `KUBEBUILDER_ASSETS` names, our
    cache, PATH if the version fits. None if it must be built."""
    assets = environ.get(ASSETS)
    if assets and os.access(Path(assets) / name, os.X_OK):
        return Tool(name, Path(assets) / name, ASSETS)
    cached = module_of(name).built / name
    if cached.is_file():
        return Tool(name, cached, "cache")
    on_path = shutil.which(name, path=environ.get("PATH"))
    if on_path and name not in OURS and fits(name, _says(name, on_path)):
        return Tool(name, Path(on_path), "PATH")
    return None


def fits(name: str, says: str) -> bool:
    """Whether what a tool says of its version is good enough to use it as it is.

    Kubernetes' own tools must have our minor version, etcd must not be too old.
    """
    found = re.search(r"v?(\d+)\.(\d+)\.\d+", says)
    if found is None:
        return False
    version = (int(found[1]), int(found[2]))
    if name == "etcd":
        return version >= OLDEST_ETCD
    major, minor = module_of(name).version.split(".")[:2]
    return version == (int(major), int(minor))


def _says(name: str, path: str) -> str:
    asked = _ASKS_VERSION.get(name, ["--version"])
    try:
        answer = subprocess.run(
            [path, *asked], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout


def missing(names: Iterable[str]) -> list[str]:
    """Those that must be built first."""
    return [name for name in names if find(name) is None]


def build_missing(names: Iterable[str], say: Say) -> None:
    """Build what no place has. Raises BuildFailed or RuntimeError (no Go)."""
    lacking = frozenset(missing(names))
    for module in MODULES:
        own = lacking & {tool.name for tool in module.tools}
        if own:
            build(module, say, only=own)


def locate(names: Iterable[str]) -> dict[str, Path]:
    """The path of each. Raises LookupError naming what must be built first."""
    names = tuple(names)
    found = {name: tool.path for name in names if (tool := find(name))}
    lacking = [name for name in names if name not in found]
    if lacking:
        raise LookupError(f"not built: {', '.join(lacking)}; run `make cluster-tools`")
    return found


def kubernetes_version() -> str:
    """The version we build and test against."""
    return KUBERNETES.version
