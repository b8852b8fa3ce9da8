"""Our own client, against the real API server."""

from collections.abc import AsyncIterator

import pytest

from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.retry import Retries
from testbed.cluster import Cluster

ONCE = Retries(give_up_after_s=0.0)
"""Nothing is sent twice: what the server says is what the test sees."""


@pytest.fixture
async def kube(cluster: Cluster) -> AsyncIterator[KubeClient]:
    """The administrator, without retries."""
    async with KubeClient.connect(cluster.kubeconfig, retries=ONCE) as client:
        yield client
