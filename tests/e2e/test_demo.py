"""The demo is the promise of the README: it is played here as a stranger would play it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(500)
def test_the_demo_keeps_every_promise_without_a_terminal() -> None:
    """Exit code 0, six promises kept, none broken."""
    played = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo")],
        capture_output=True, text=True, timeout=400, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip

    assert played.returncode == 0, played.stdout[-3000:] + played.stderr[-2000:]
    assert played.stdout.count("kept   ") == 6  # a pool is "kept at" a size without statistics
    assert "BROKEN" not in played.stdout
