"""A pool's whole world for each test, in a namespace of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.operated import Operated, operated
from testbed.cluster import Cluster


@pytest.fixture
async def world(cluster: Cluster, namespace: str, tmp_path: Path) -> AsyncIterator[Operated]:
    async with operated(cluster.kubeconfig, namespace, tmp_path) as made:
        yield made
