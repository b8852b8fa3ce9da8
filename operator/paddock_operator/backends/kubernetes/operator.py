"""The operator of a cluster: what is watched, whose turn it is, and what is told of it.

Nothing that matters is kept in memory: a new process lists, hears the orchestrators again, and goes
on where the pods' annotations say the last one was.
"""

import asyncio
import gc
import itertools
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from paddock_operator.backends.kubernetes.budgets import Budgets
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.connections import Connect, Connections
from paddock_operator.backends.kubernetes.errors import KubeError
from paddock_operator.backends.kubernetes.informer import Informer
from paddock_operator.backends.kubernetes.learned import Learned, LearnedStates
from paddock_operator.backends.kubernetes.managed_pool import ManagedPool
from paddock_operator.backends.kubernetes.mirror import Key
from paddock_operator.backends.kubernetes.pod_store import PodStore
from paddock_operator.backends.kubernetes.teller import Teller, write_status
from paddock_operator.backends.kubernetes.words import connections_path, pools_path
from paddock_operator.model.connection import OrchestratorConnection
from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.model.resource import (
    ObjectMeta,
    Resource,
    parse_connection,
    parse_resource,
)
from paddock_operator.model.status import status_json
from paddock_operator.observe.metrics import Metrics, PoolKey
from paddock_operator.observe.pool_status import connection_status
from paddock_operator.reconcile.claims import Claim, Claims
from paddock_operator.reconcile.clock import CLOCK, Clock
from paddock_operator.reconcile.queue import KeyedQueue
from paddock_operator.signals.link import OrchestratorLink

log = logging.getLogger("paddock.operator")

WORKERS = 8
RESYNC_S = 300.0
RECONNECT_S = 30.0
"""Between looks at the secrets of connections that have changed without a word."""
TROUBLED = 6
"""How much more often one is looked at that does not work."""
_FEW = 100
"""Pools listed at a time where only their names are kept."""

_CORDONED = ("node.kubernetes.io/unschedulable", "ToBeDeletedByClusterAutoscaler")
_DISRUPTED = "karpenter.sh/disrupted"


class Operator:
    """Everything of one process. `run` until cancelled; the two `..._seen` are the watch's ends."""

    def __init__(
        self,
        client: KubeClient,
        metrics: Metrics,
        learned: LearnedStates,
        *,
        namespace: str = "",
        clock: Clock = CLOCK,
        connect: Connect = OrchestratorLink,
    ) -> None:
        """`namespace`: only this one; "" is all of them."""
        self._clock = clock
        self._learned = learned
        self._namespace = namespace
        self._client = client
        self._queue: KeyedQueue[PoolKey] = KeyedQueue()
        scope = f"/namespaces/{namespace}" if namespace else ""
        self._pods = PodStore(client, f"/api/v1{scope}/pods", self._queue.add, clock=clock)
        self._nodes: Informer[bool] = Informer(
            client, "/api/v1/nodes", "", is_leaving, on_change=self._node_changed, clock=clock.mono
        )
        self._sees_nodes = True
        """False where the role is of one namespace and nodes cannot be listed."""
        self._budgets = Budgets(
            client, f"/apis/policy/v1{scope}/poddisruptionbudgets", self._budget_changed
        )
        self._connections = Connections(client, changed=self._connection_changed, connect=connect)
        self._objects: dict[Key, Resource[OrchestratorConnection]] = {}
        self._connection_said: dict[Key, str] = {}
        self._pools: dict[PoolKey, ManagedPool] = {}
        self._claims = Claims()
        self._teller = Teller(client, metrics, clock)
        self._metrics = metrics
        self._changed_connections: KeyedQueue[Key] = KeyedQueue()

    @property
    def pools(self) -> Mapping[PoolKey, ManagedPool]:
        return self._pools

    # -- how it does ------------------------------------------------------------------------

    @property
    def synced(self) -> bool:
        """Every watch of ours has had its first listing."""
        return all(informer.synced.is_set() for informer in self._informers)

    @property
    def silent_s(self) -> float | None:
        """Since the last sign of life of the quieter watch; None before the first."""
        return max(informer.lag_s for informer in self._informers) if self.synced else None

    @property
    def oldest_key_s(self) -> float | None:
        """For how long the pool that waits longest has waited."""
        return self._queue.oldest_s() if len(self._queue) else None

    def measure(self, metrics: Metrics) -> None:
        """Take the measures that are taken when somebody looks."""
        metrics.record_queue_depth(len(self._queue))
        if self.synced:
            metrics.record_watch_lag("pods", self._pods.informer.lag_s)
        if self._nodes.synced.is_set():
            metrics.record_watch_lag("nodes", self._nodes.lag_s)

    @property
    def _informers(self) -> list[Informer[Any]]:
        seen: list[Informer[Any]] = [self._pods.informer, self._budgets.informer]
        return [*seen, self._nodes] if self._sees_nodes else seen

    def explanations(self) -> dict[str, list[dict[str, Any]]]:
        """The last decisions of each pool, by `namespace/name`."""
        names = ["/".join(key) for key in self._pools]
        return {name: self._teller.explanations.explanation(name) for name in names}

    # -- what is seen -----------------------------------------------------------------------

    def pool_seen(self, kind: str | None, obj: dict[str, Any]) -> None:
        """An AgentDeployment as a watch event has it; `kind` DELETED: it is gone."""
        key = PoolKey(obj["metadata"]["namespace"], obj["metadata"]["name"])
        pool = self._pools.get(key)
        if kind == "DELETED":
            if pool is not None:
                pool.close()
                del self._pools[key]
                self._teller.forget(key)
            self._queue.forget(key)
            self._wake(self._claims.release(key))
            return
        resource = parse_resource(obj)
        if pool is not None and pool.resource.meta.uid == resource.meta.uid:
            before = pool.resource
            if (resource.parsed, resource.rest) == (before.parsed, before.rest):
                # Kept once, and not for each status that is written.
                resource = replace(resource, parsed=before.parsed, rest=before.rest)
            pool.changed(resource)
            self._claim(key, pool)
            if _same_wish(before.meta, resource.meta):
                return  # our own status, or somebody's note
        else:
            if pool is not None:  # another object of the name: that its predecessor went was missed
                pool.close()
                self._teller.forget(key)
            pool = self._pools[key] = self._managed(key, resource)
            self._claim(key, pool)
        self._queue.add(key)

    def _claim(self, key: PoolKey, pool: ManagedPool) -> None:
        """Note which agent the pool is of, by the newest manifest that is valid."""
        manifest = pool.resource.parsed
        if isinstance(manifest, tuple):
            if pool.reconciler is None:
                self._wake(self._claims.release(key))
                return
            manifest = pool.reconciler.manifest
        agent = (key.namespace, manifest.spec.connection_ref.name, manifest.agent_id)
        self._wake(self._claims.claim(key, Claim(agent, pool.resource.meta.created)))

    def _wake(self, pools: Iterable[tuple[str, str]]) -> None:
        for namespace, name in pools:
            self._queue.add(PoolKey(namespace, name))

    def connection_seen(self, kind: str | None, obj: dict[str, Any]) -> None:
        """An OrchestratorConnection, likewise."""
        key = Key(obj["metadata"]["namespace"], obj["metadata"]["name"])
        if kind == "DELETED":
            self._objects.pop(key, None)
            self._connection_said.pop(key, None)
        else:
            resource = parse_connection(obj)
            known = self._objects.get(key)
            self._objects[key] = resource
            if known is not None and _same_object(known.meta, resource.meta):
                return
        self._connection_changed(key)

    def _export(self) -> dict[PoolKey, Learned]:
        """What is learned of the pools; of one that was not sized yet, what was known before."""
        return {
            key: learned
            for key, pool in self._pools.items()
            if (learned := pool.learned) is not None
        }

    def _managed(self, key: PoolKey, resource: Resource[AgentDeployment]) -> ManagedPool:
        return ManagedPool(
            resource,
            client=self._client,
            pods=self._pods,
            connections=self._connections,
            budgets=self._budgets,
            learned=self._learned.of(key),
            cordoned=lambda node: self._nodes.store.get(Key("", node), False),
            wake=lambda: self._queue.add(key),
            clock=self._clock,
        )

    def _node_changed(self, key: Key, old: bool | None, new: bool | None) -> None:
        for pool_key, pool in self._pools.items():
            if any(pod.node == key.name for pod in pool.backend.pods().values()):
                self._queue.add(pool_key)

    def _connection_changed(self, key: tuple[str, str]) -> None:
        self._changed_connections.add(Key(*key))

    def _budget_changed(self, namespace: str) -> None:
        for pool_key in self._pools:
            if pool_key.namespace == namespace:
                self._queue.add(pool_key)

    # -- what is done -----------------------------------------------------------------------

    async def run(self, watch: Callable[["Operator"], Any]) -> None:
        """`watch(self)` is the task that feeds `pool_seen` and `connection_seen`."""
        # A full collection over modules and thousands of pods would stop the loop for too long:
        # what is there for good is left out of it, and no scrape of a thousand pools begins one.
        # The small ones are kept small: 50,000 young objects take 20 ms.
        gc.freeze()
        gc.set_threshold(10_000, 20, 100)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pods.informer.run())
                self._sees_nodes = await self._client.can_i("list", "", "nodes")
                if self._sees_nodes:
                    group.create_task(self._nodes.run())
                    await self._nodes.synced.wait()
                else:
                    log.warning("nodes_not_seen", extra={"why": "drainOnCordon needs list nodes"})
                await self._learned.load()
                group.create_task(self._budgets.informer.run())
                await self._budgets.informer.synced.wait()
                await self._pods.informer.synced.wait()
                log.info("listed", extra={"pods": len(self._pods.informer.store)})
                gc.freeze()
                await self._see_all()
                group.create_task(self._connect())
                group.create_task(self._look_at_secrets())
                group.create_task(self._look_for_the_gone())
                group.create_task(self._learned.run(self._export))
                group.create_task(watch(self))
                for _ in range(WORKERS):
                    group.create_task(self._work())
        finally:
            await self._connections.close()

    async def _see_all(self) -> None:
        """All pools before the first pass: of two with one agent the younger must not be first."""
        try:
            listed = (await self._client.list(pools_path(self._namespace))).items
        except KubeError as why:
            log.warning("pools_not_listed", extra={"why": str(why)})
            return
        for item in listed:
            self.pool_seen(None, item)

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            pool = self._pools.get(key)
            if pool is None:
                self._queue.done(key)
                continue
            began = self._clock.mono()
            try:
                pool.rival = "/".join(self._claims.rival(key) or ())
                after_s = await pool.reconcile()
                await asyncio.sleep(0)
                again_s = await self._teller.tell(key, pool)
            except Exception as why:  # one pool's trouble must not end the others'
                delay_s = self._queue.failed(key)
                log.warning(
                    "pass_failed",
                    extra={"pool": "/".join(key), "why": str(why), "again_s": round(delay_s, 1)},
                    exc_info=None if isinstance(why, KubeError) else why,
                )
            else:
                self._metrics.record_reconcile(self._clock.mono() - began)
                self._queue.done(key)
                for seconds in (after_s, again_s):
                    if seconds is not None:
                        self._queue.add_after(key, seconds)

    async def _connect(self) -> None:
        """Follow connections, one at a time."""
        while True:
            key = await self._changed_connections.get()
            try:
                await self._follow_connection(key)
            except Exception as why:  # nor must one connection's end the others'
                delay_s = self._changed_connections.failed(key)
                log.warning(
                    "connection_not_followed",
                    extra={
                        "connection": "/".join(key), "why": str(why), "again_s": round(delay_s, 1)
                    },
                    exc_info=None if isinstance(why, KubeError) else why,
                )  # fmt: skip
            else:
                self._changed_connections.done(key)
            for pool_key, pool in self._pools.items():
                if pool.connection is None or pool.connection.key == key:
                    self._queue.add(pool_key)

    async def _follow_connection(self, key: Key) -> None:
        resource = self._objects.get(key)
        if resource is None:
            await self._connections.deleted(*key)
            return
        await self._connections.changed(resource)
        await self._tell_connection(key, resource)

    async def _look_at_secrets(self) -> None:
        """Secrets are read by name only, so their changes are found by looking: more often while
        they may be what is wrong."""
        for look in itertools.count(1):
            await asyncio.sleep(RECONNECT_S / TROUBLED)
            for key in list(self._objects):
                if look % TROUBLED == 0 or self._connections.of(*key).trouble is not None:
                    self._connection_changed(key)

    async def _look_for_the_gone(self) -> None:
        """An object whose deletion the watch has missed must not be given new pods for ever."""
        while True:
            await asyncio.sleep(RESYNC_S)
            try:
                await self._forget_the_gone()
            except KubeError as why:
                log.warning("pools_not_listed", extra={"why": str(why)})

    async def _forget_the_gone(self) -> None:
        """Of the pools known before: one that comes meanwhile may be newer than the list."""
        known = dict(self._pools)
        pages = self._client.pages(pools_path(self._namespace), limit=_FEW)
        there = {item["metadata"]["uid"] async for page in pages for item in page.items}
        for key, pool in known.items():
            if pool.resource.meta.uid not in there and self._pools.get(key) is pool:
                name = {"namespace": key.namespace, "name": key.pool}
                self.pool_seen("DELETED", {"metadata": name})

    async def _tell_connection(self, key: Key, resource: Resource[OrchestratorConnection]) -> None:
        connection = self._connections.of(*key)
        if not connection.tried:
            return
        said = f"{resource.meta.uid} {resource.meta.generation} {connection.trouble}"
        if self._connection_said.get(key) == said:
            return
        status = connection_status(
            connection.trouble,
            generation=resource.meta.generation, before=resource.status, now=self._clock.wall(),
        )  # fmt: skip
        path = f"{connections_path(key.namespace)}/{key.name}"
        kind = "OrchestratorConnection"
        await write_status(self._client, path, kind, resource.meta, status_json(status))
        self._connection_said[key] = said


def _same_object(before: ObjectMeta, after: ObjectMeta) -> bool:
    """The same one with the same spec, and not another of its name."""
    return (before.uid, before.generation) == (after.uid, after.generation)


def _same_wish(before: Any, after: Any) -> bool:
    """Neither the spec nor a deletion nor our finalizer is new."""
    return (before.generation, before.deletion_timestamp, before.finalizers) == (
        after.generation, after.deletion_timestamp, after.finalizers,
    )  # fmt: skip


def is_leaving(node: dict[str, Any]) -> bool:
    """Somebody wants the node empty."""
    spec = node.get("spec") or {}
    taints = {taint.get("key") for taint in spec.get("taints") or ()}
    leaving = bool(spec.get("unschedulable")) or not taints.isdisjoint(_CORDONED)
    return leaving or _DISRUPTED in taints
