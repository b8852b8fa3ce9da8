"""The demo on a cluster, as a stranger would play it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.cluster import EXISTING, Cluster

ROOT = Path(__file__).parents[2]


@pytest.mark.realnode
@pytest.mark.timeout(1200)
def test_the_demo_on_a_cluster_keeps_every_promise(cluster: Cluster) -> None:
    """Exit code 0, seven promises kept, none broken."""
    environ = {
        **os.environ, EXISTING: str(cluster.kubeconfig), "PYTHONPATH": str(ROOT / "tests"),
    }  # fmt: skip

    played = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo"), "--cluster"], env=environ,
        capture_output=True, text=True, timeout=1100, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip

    assert played.returncode == 0, played.stdout[-4000:] + played.stderr[-2000:]
    assert played.stdout.count("kept   ") == 7
    assert "BROKEN" not in played.stdout
