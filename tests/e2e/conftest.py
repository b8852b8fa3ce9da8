"""Fixtures of the end-to-end tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.local_pool import AGENT, LocalPool


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[LocalPool]:
    """A folder with an agent and a manifest; `up` is the test's to call."""
    (tmp_path / "agent.py").write_text(AGENT)
    env = {
        **os.environ,
        "PADDOCK_HOME": str(tmp_path / "state"),
        "PADDOCK_CONTEXTS": str(tmp_path / "contexts.json"),
    }
    made = LocalPool(tmp_path, env)
    made.write()
    try:
        yield made
    finally:
        made.stop()
