"""The commands of docs/cli.md that meet a cluster, as somebody types them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from e2e.pages import BESIDE_A_CLUSTER, run_by
from e2e.reader import Reader
from fakes.operated import POOL, Operated, operated
from fakes.processes import free_port
from testbed.cluster import Cluster

pytestmark = [pytest.mark.api, pytest.mark.timeout(400)]


@pytest.fixture
async def world(cluster: Cluster, namespace: str, tmp_path: Path) -> AsyncIterator[Operated]:
    """With a pool that no operator looks after yet."""
    async with operated(cluster.kubeconfig, namespace, tmp_path, begin=False) as made:
        await made.server.start()
        await made.secret(made.server.keys["private"])
        await made.connection(made.server.url)
        await made.apply()
        yield made


async def test_the_commands_for_a_cluster_do_what_they_say(
    world: Operated, cluster: Cluster, tmp_path: Path
) -> None:
    programs = f"{cluster.kubectl.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = {"PATH": programs, "HOME": str(tmp_path), "KUBECONFIG": str(cluster.kubeconfig)}
    reader = Reader(tmp_path, environ, logs=tmp_path)
    port = free_port()
    reader.words = {
        "paddock operator": f"paddock operator --probe-port {port}",
        "paddock explain": f"paddock explain --operator http://127.0.0.1:{port}",
        "voice": world.namespace, "support-en": POOL,
    }  # fmt: skip
    try:
        for block in run_by(BESIDE_A_CLUSTER):
            refuses = block.commands.startswith("paddock may-uninstall")
            await asyncio.to_thread(reader.types, block, ends=1 if refuses else 0)
            if block.commands.startswith("paddock operator"):
                await world.settled(1)
                calls = [await world.call(), await world.call()]
        for call in calls:
            await call.hang_up()
    finally:
        await asyncio.to_thread(reader.leaves)
