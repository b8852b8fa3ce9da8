"""Every command of the pages for operators, as a reader would type it, on a cluster."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chart.installation import volume
from e2e.pages import ON_A_CLUSTER, Block, run_by
from e2e.reader import Reader
from testbed.cluster import Cluster
from testbed.places import CHECKOUT, cache_folder

REGISTRY = "registry.example.com"
"""What the reader has for the word REGISTRY; the node finds its images without asking it."""
NAMESPACE = "voice"
INSTALL, OPERATIONS, BACKUP = (
    [block for block in run_by(ON_A_CLUSTER) if block.page == f"docs/{name}.md"]
    for name in ("install", "operations", "backup")
)
LAST = ("Upgrade", "Uninstall")
"""Sections of the installation that come after everything else."""
WITHOUT_HELM = "Without Helm"

_DOCKER = f"""#!{sys.executable}
import os, shutil, sys
from pathlib import Path
os.environ["PATH"] = os.environ["PATH"].partition(":")[2]  # the real one is behind this
sys.path.insert(0, {str(CHECKOUT / "tests")!r})
from testbed.image_build import build_image
words = sys.argv[1:]
built = Path(__file__).parent.parent / "built.tar"
if words[0] == "build":
    _, flag, tag, folder = words
    assert flag == "-t", words
    shutil.copy(build_image(Path(folder), tag), built)
else:
    assert words[0] == "push", words
    built.rename(built.with_name("pushed.tar"))
"""
"""Builds by a real Docker daemon, on a base made here; a registry is what there is none of."""


class Operator(Reader):
    """Somebody with kubectl, helm, docker and paddock, in a clone of the repository."""

    def __init__(self, cluster: Cluster, home: Path) -> None:
        self._cluster = cluster
        self._pushed = home / "pushed.tar"
        commands = home / "bin"
        commands.mkdir()
        (home / "kept").mkdir()  # the volume is `home`, and has a backup of its own
        for tool in (cluster.kubectl, cluster.helm, Path(sys.executable).with_name("paddock")):
            (commands / tool.name).symlink_to(tool)
        (commands / "docker").write_text(_DOCKER)
        (commands / "docker").chmod(0o755)
        environ = {
            **os.environ, "HOME": str(home), "KUBECONFIG": str(cluster.kubeconfig),
            "XDG_CACHE_HOME": str(cache_folder().parent),  # where images are kept
            "PATH": f"{commands}:{os.environ['PATH']}",
            "PADDOCK_CONTEXTS": str(home / "contexts.json"), "BACKUP": str(home / "kept"),
        }  # fmt: skip
        super().__init__(CHECKOUT, environ, logs=home, patience_s=800)
        self.words["(?<=[ =])REGISTRY/"] = f"{REGISTRY}/"

    def types(self, block: Block, *, ends: int = 0) -> None:
        """What was pushed is on the node then."""
        super().types(block, ends=ends)
        if self._pushed.exists():
            self._cluster.load_image(self._pushed)
            self._pushed.unlink()


@pytest.fixture
def reader(cluster: Cluster, tmp_path: Path) -> Iterator[Operator]:
    one = Operator(cluster, tmp_path)
    yield one
    one.leaves()
    for name in (NAMESPACE, "paddock-system", "sales"):
        cluster.client.ask("DELETE", f"/api/v1/namespaces/{name}")
    cluster.kubectl_run("apply", "--server-side", "--force-conflicts", "-f", str(CHECKOUT / "crds"))


def _back_up_and_restore(reader: Operator, cluster: Cluster) -> None:
    """What was there at the back-up is there again, and what came later is not."""
    backed_up, restored = BACKUP
    before = _sessions(cluster)
    reader.types(backed_up)
    _at_the_orchestrator(cluster, "call", "hello", "--say", "Hello!")
    assert len(_sessions(cluster)) == len(before) + 1
    reader.types(restored)
    assert before
    assert _sessions(cluster) == before


def _sessions(cluster: Cluster) -> set[str]:
    listed = _at_the_orchestrator(cluster, "sessions", "list", "hello", "--output", "json")
    return {each["session_id"] for each in json.loads(listed)["sessions"]}


def _at_the_orchestrator(cluster: Cluster, *words: str) -> str:
    pod = ("-n", NAMESPACE, "exec", "paddock-orchestrator-0")
    return cluster.kubectl_run(*pod, "--", "paddock", *words)


@pytest.mark.realnode
@pytest.mark.timeout(2400)
def test_the_pages_for_operators_do_what_they_say(
    reader: Operator, cluster: Cluster, tmp_path: Path
) -> None:
    """Installed, operated, backed up and restored, upgraded, uninstalled."""
    first = [b for b in INSTALL if b.section not in (*LAST, WITHOUT_HELM)]
    last = [b for b in INSTALL if b.section in LAST]
    with volume(cluster, NAMESPACE, tmp_path):
        for block in (*first, *OPERATIONS):
            reader.types(block)
        _back_up_and_restore(reader, cluster)
        for block in last:
            reader.types(block)
    with volume(cluster, "paddock-system", tmp_path):
        for block in INSTALL:
            if block.section == WITHOUT_HELM:
                reader.types(block)
