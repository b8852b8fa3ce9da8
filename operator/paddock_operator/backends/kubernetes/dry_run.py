"""What the operator would do now: one pass of each pool, with every write left out."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from paddock_operator.autoscale.policy import policy_for
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.connections import Connections
from paddock_operator.backends.kubernetes.learned import LearnedStates
from paddock_operator.backends.kubernetes.operator import is_leaving
from paddock_operator.backends.kubernetes.pods import PodView, observed, pod_view
from paddock_operator.backends.kubernetes.words import (
    MANAGED,
    connections_path,
    pods_path,
    pools_path,
)
from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.model.resource import Resource, parse_connection, parse_resource
from paddock_operator.observe.metrics import PoolKey
from paddock_operator.plan.actions import Action, CancelStart, Commit, Create, Forget, WriteIntent
from paddock_operator.reconcile.backend import Observed
from paddock_operator.reconcile.reconciler import Reconciler
from paddock_operator.signals.silent import SilentLink

HEAR_S = 10.0
"""How long to wait for an orchestrator's statistics."""


@dataclass(frozen=True, slots=True)
class Intended:
    """What would be done about one pool."""

    pool: str
    sentence: str
    actions: tuple[Action, ...] = ()
    problem: str = ""
    """Why nothing can be said, or what is missing for a better answer."""


class _Onlooker:
    """A backend that sees and does nothing."""

    def __init__(self, seen: Sequence[Observed]) -> None:
        self._seen = seen

    def observe(self) -> Sequence[Observed]:
        return self._seen

    async def create(self, action: Create) -> None: ...

    async def write_intent(self, action: WriteIntent) -> bool:
        return False

    async def commit(self, action: Commit) -> bool:
        return False

    async def cancel_start(self, action: CancelStart) -> bool:
        return True

    async def forget(self, action: Forget) -> None: ...


async def dry_run(client: KubeClient, namespace: str, learned: LearnedStates) -> list[Intended]:
    """The plans of all pools, of one namespace or of all. Nothing is written."""
    connections = Connections(client)
    await learned.load()
    try:
        for item in (await client.list(connections_path(namespace))).items:
            await connections.changed(parse_connection(item))
        sees_nodes = await client.can_i("list", "", "nodes")
        listed = (await client.list("/api/v1/nodes")).items if sees_nodes else []
        nodes = {node["metadata"]["name"]: is_leaving(node) for node in listed}
        items = (await client.list(pools_path(namespace))).items
        pools = [parse_resource(item) for item in items]
        return await asyncio.gather(
            *(_intended(client, connections, nodes, learned, pool) for pool in pools)
        )
    finally:
        await connections.close()


async def _intended(
    client: KubeClient,
    connections: Connections,
    nodes: dict[str, bool],
    learned: LearnedStates,
    resource: Resource[AgentDeployment],
) -> Intended:
    meta, manifest = resource.meta, resource.parsed
    name = f"{meta.namespace}/{meta.name}"
    if isinstance(manifest, tuple):
        return Intended(name, "", problem="; ".join(map(str, manifest)))
    listed = await client.list(pods_path(meta.namespace), labels=MANAGED)
    pods = [pod_view(pod) for pod in listed.items]
    seen = [_seen(pod, nodes) for pod in pods if pod.owner == meta.uid]
    reconciler = Reconciler(
        manifest, _Onlooker(seen), SilentLink(),
        policy_for(manifest, learned.of(PoolKey(meta.namespace, meta.name)), adopted=bool(seen)),
        deleting=meta.deletion_timestamp is not None,
    )  # fmt: skip
    connection = connections.of(meta.namespace, manifest.spec.connection_ref.name)
    connection.subscribe(manifest.agent_id, reconciler.heard)
    problem = connection.problem.message if connection.problem is not None else ""
    if not problem and not await _heard(reconciler):
        why = connection.trouble.message if connection.trouble is not None else "it is silent"
        problem = f"the orchestrator was not heard within {HEAR_S:g} s: {why}"
    last = await reconciler.reconcile()
    return Intended(name, last.plan.reason, last.plan.actions, problem)


def _seen(pod: PodView, nodes: dict[str, bool]) -> Observed:
    return observed(pod, cordoned=nodes.get(pod.node, False))


async def _heard(reconciler: Reconciler) -> bool:
    until = time.monotonic() + HEAR_S
    while not reconciler.feed.ever:
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0.05)
    return True
