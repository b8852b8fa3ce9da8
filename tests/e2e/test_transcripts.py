"""The commands of the README and of docs/cli.md, as somebody types them on one machine."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.pages import ON_ONE_MACHINE, Block, run_by
from e2e.reader import Reader
from fakes.local_pool import kill_all_of
from fakes.processes import free_port
from paddock.client.contexts import ContextFile
from testbed.places import CHECKOUT
from testbed.postgres import Postgres
from testbed.waiting import wait_until

BLOCKS = run_by(ON_ONE_MACHINE)
POSTGRESQL = "PostgreSQL"
AGENT = "my-first-agent"
ANY_SESSION = "01a1fe5a-5dd4-7c6d-ab38-9be6e8bf4e65"
"""The one that docs/cli.md shows."""
LAST = ("paddock load", "paddock down", "paddock orchestrator")


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """In a clone, with what the installation needs at hand, so that pip asks no index."""
    clone = tmp_path / "clone"
    clone.mkdir()
    for path in CHECKOUT.iterdir():
        if not path.name.startswith("."):
            (clone / path.name).symlink_to(path)
    port = free_port()
    one = Reader(
        clone,
        {
            **{k: v for k, v in os.environ.items() if not k.startswith(("PADDOCK_", "UNPOD_"))},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path), "PADDOCK_HOME": str(tmp_path / "state"),
            "PADDOCK_CONTEXTS": str(tmp_path / "contexts.json"),
            "PIP_DRY_RUN": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "false",
        },
        logs=tmp_path,
    )  # fmt: skip
    one.words = {"paddock up": f"paddock up --port {port}", r"\b8600\b": str(port)}
    yield one
    try:
        one.leaves()
    finally:
        kill_all_of(one.environ["PADDOCK_HOME"])


def rank(block: Block) -> int:
    """What ends the pool, or makes another context current, comes after the rest."""
    return next((n for n, each in enumerate(LAST, 1) if each in block.commands), 0)


@pytest.mark.timeout(600)
def test_the_readme_and_the_page_of_the_command_line_do_what_they_say(reader: Reader) -> None:
    """On one pool, which ends at `paddock down`. What both have in common is run once."""
    for block in sorted((b for b in BLOCKS if b.section != POSTGRESQL), key=rank):
        if ANY_SESSION in block.commands:
            listed = json.loads(paddock(reader, "sessions", "list", "-o", "json"))
            reader.words[ANY_SESSION] = listed["sessions"][0]["session_id"]
        reader.types(block)
        if block.commands.startswith("pip"):
            reader.folder /= "first"
            context = ContextFile.load(reader.environ).contexts[AGENT]
            reader.words[r"pk_\.\.\."] = context.public_key
            wait_until("a runner", lambda: AGENT in paddock(reader, "runners"), within_s=60)


def paddock(reader: Reader, *words: str) -> str:
    """What it says."""
    command = [sys.executable, "-m", "paddock", *words]
    return subprocess.run(
        command, env=reader.environ, capture_output=True, text=True, timeout=60, check=True
    ).stdout


@pytest.mark.postgres
@pytest.mark.timeout(600)
def test_an_orchestrator_on_postgresql_is_started_as_the_page_says(
    reader: Reader, shared_postgres: Postgres
) -> None:
    reader.words["postgresql://[^']*"] = shared_postgres.create()
    reader.environ["PADDOCK_ORCHESTRATOR_PORT"] = "0"
    for block in (b for b in BLOCKS if b.section == POSTGRESQL):
        reader.types(block)
