"""The tools that are built from source, and the names of their builds in the cache."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from testbed.places import TESTBED, cache_folder


@dataclass(frozen=True)
class GoTool:
    """A command and the package that holds it."""

    name: str
    package: str


@dataclass(frozen=True)
class GoModule:
    """A folder with go.mod and go.sum, and what is built in it, batch by batch."""

    name: str
    version_of: str | None
    """The required module whose version names the build, if it is somebody's."""
    batches: tuple[tuple[GoTool, ...], ...]
    about: str
    """How long the first build takes."""

    @property
    def folder(self) -> Path:
        return TESTBED / "go" / self.name

    @property
    def tools(self) -> tuple[GoTool, ...]:
        return tuple(tool for batch in self.batches for tool in batch)

    @property
    def version(self) -> str:
        """Without the leading v. Raises ValueError if go.mod does not require it."""
        if self.version_of is None:
            return "ours"
        text = (self.folder / "go.mod").read_text()
        found = re.search(rf"^(?:require)?\s+{re.escape(self.version_of)} v(\S+)", text, re.M)
        if found is None:
            raise ValueError(f"{self.folder}/go.mod does not require {self.version_of}")
        return found[1]

    @property
    def key(self) -> str:
        """Changes with the versions of the tool and of everything it is made of."""
        content = hashlib.sha256()
        for name in ("go.mod", "go.sum", *self._sources()):
            content.update((self.folder / name).read_bytes())
        prefix = "" if self.name == "kubernetes" else f"{self.name}-"
        return f"{prefix}{self.version}-{content.hexdigest()[:12]}"

    def _sources(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*.go"))

    @property
    def built(self) -> Path:
        """Where its commands are once they are built."""
        return cache_folder() / self.key


def _kubernetes(*names: str) -> tuple[GoTool, ...]:
    return tuple(GoTool(name, f"k8s.io/kubernetes/cmd/{name}") for name in names)


KUBERNETES = GoModule(
    "kubernetes",
    "k8s.io/kubernetes",
    (
        (GoTool("etcd", "go.etcd.io/etcd/server/v3"),),
        _kubernetes("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"),
        _kubernetes("kubelet", "kube-proxy"),
    ),
    "10 min on 2 cores",
)
KWOK = GoModule(
    "kwok", "sigs.k8s.io/kwok", ((GoTool("kwok", "sigs.k8s.io/kwok/cmd/kwok"),),), "2 min"
)
COREDNS = GoModule("coredns", "github.com/coredns/coredns", ((GoTool("coredns", "."),),), "2 min")
HELM = GoModule(
    "helm", "helm.sh/helm/v3", ((GoTool("helm", "helm.sh/helm/v3/cmd/helm"),),), "3 min"
)
KUBE_ROUTER = GoModule(
    "kube-router",
    "github.com/cloudnativelabs/kube-router/v2",
    ((GoTool("kube-router", "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"),),),
    "3 min",
)
PAUSE = GoModule("pause", None, ((GoTool("pause", "."),),), "5 s")
MODULES = (KUBERNETES, HELM, KWOK, COREDNS, KUBE_ROUTER, PAUSE)


def module_of(tool: str) -> GoModule:
    """The module a tool is built from. KeyError if it is none of ours."""
    for module in MODULES:
        if any(tool == one.name for one in module.tools):
            return module
    raise KeyError(tool)
