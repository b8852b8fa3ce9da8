"""What is told of a pool, and that telling is never in the way of sizing it."""

from types import SimpleNamespace
from typing import cast

import yaml

from fakes.kube_memory import KubeMemory
from paddock_operator.backends.kubernetes.errors import Forbidden
from paddock_operator.backends.kubernetes.managed_pool import ManagedPool
from paddock_operator.backends.kubernetes.teller import UNWRITTEN_S, Teller
from paddock_operator.backends.kubernetes.words import pools_path
from paddock_operator.model.resource import parse_resource
from paddock_operator.observe.metrics import Metrics, PoolKey
from unit.model.manifests import changed

KEY = PoolKey("n", "desk")
PATH = f"{pools_path('n')}/desk"


def invalid_pool(kube: KubeMemory) -> ManagedPool:
    """A pool that says one thing only: what is wrong with its manifest."""
    spec = yaml.safe_load(changed(spec__sessionsPerRunner=0))["spec"]
    resource = parse_resource(kube.put(pools_path("n"), "desk", spec=spec))
    return cast(
        "ManagedPool",
        SimpleNamespace(
            rival="", reconciler=None, last=None, resource=resource, looked_at=1, path=PATH
        ),
    )


async def test_a_status_that_may_not_be_written_is_tried_again_and_fails_no_pass() -> None:
    kube = KubeMemory()
    pool = invalid_pool(kube)
    teller = Teller(kube.client, Metrics(lambda: 0.0))

    def refuse(method: str, path: str) -> None:
        if path.endswith("/status"):
            raise Forbidden("agentdeployments/status is forbidden", status=403)

    kube.before = refuse
    assert await teller.tell(KEY, pool) == UNWRITTEN_S
    kube.before = lambda method, path: None
    assert await teller.tell(KEY, pool) is None
    (condition,) = [
        each for each in (await kube.client.get(PATH))["status"]["conditions"]
        if each["type"] == "TemplateAccepted"
    ]  # fmt: skip
    assert condition["status"] == "False"
