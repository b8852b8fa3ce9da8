"""Tests whose tier is not possible are skipped aloud, and never where they are required."""

import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[3]
SIDE_BY_SIDE = ("-n", "2", "--dist", "worksteal")


def _session(tmp_path: Path, *options: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """The cluster's own tests, with a cluster that is not there."""
    kept = {k: v for k, v in os.environ.items() if k not in ("CI", "PADDOCK_REQUIRE_TIERS")}
    # A cache of its own: who prepares tiers beside it for minutes is not waited for.
    cache = str(tmp_path / "cache")
    nowhere = {"PADDOCK_TEST_KUBECONFIG": str(tmp_path / "none"), "XDG_CACHE_HOME": cache}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         *options, "tests/cluster/test_testbed.py"],
        cwd=_ROOT, env={**kept, **nowhere, **environ}, capture_output=True, text=True,
        check=False, timeout=200,
    )  # fmt: skip


def test_an_impossible_tier_skips_its_tests_with_the_reason(tmp_path: Path) -> None:
    done = _session(tmp_path)

    assert done.returncode == 0
    assert "tier api: PADDOCK_TEST_KUBECONFIG: " in done.stdout
    assert "passed" not in done.stdout


def test_the_table_shows_that_none_ran(tmp_path: Path) -> None:
    lines = _session(tmp_path).stdout.splitlines()

    rows = [line.split() for line in lines if line.startswith(("api ", "fakenode ", "realnode "))]
    assert [row[:3] for row in rows] == [
        [tier, "0", "run"] for tier in ("api", "fakenode", "realnode")
    ]


def test_a_required_tier_that_is_impossible_ends_the_session(tmp_path: Path) -> None:
    done = _session(tmp_path, CI="true")

    assert done.returncode == 4
    assert "tier api is required: PADDOCK_TEST_KUBECONFIG" in done.stdout + done.stderr


def test_several_processes_skip_and_refuse_as_one_does(tmp_path: Path) -> None:
    skipped = _session(tmp_path, *SIDE_BY_SIDE)
    assert skipped.returncode == 0
    assert "passed" not in skipped.stdout
    assert "tier api: PADDOCK_TEST_KUBECONFIG: " in skipped.stdout
    assert "api           0 run" in skipped.stdout

    refused = _session(tmp_path, *SIDE_BY_SIDE, CI="true")
    assert refused.returncode == 4
    assert "tier api is required: PADDOCK_TEST_KUBECONFIG" in refused.stdout + refused.stderr


def test_what_is_not_required_does_not(tmp_path: Path) -> None:
    assert _session(tmp_path, CI="true", PADDOCK_REQUIRE_TIERS="").returncode == 0
