"""One AgentDeployment of a cluster: its reconciler, its pods, and what is owned beside them."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from paddock_operator.autoscale.policy import policy_for
from paddock_operator.backends.kubernetes.aside import AsideLink
from paddock_operator.backends.kubernetes.backend import KubernetesBackend, Pods
from paddock_operator.backends.kubernetes.budgets import Budgets
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.connections import Connection, Connections
from paddock_operator.backends.kubernetes.errors import Forbidden, KubeError, NotFound
from paddock_operator.backends.kubernetes.owned import (
    forget_revisions,
    hold_budget,
    keep_revision,
)
from paddock_operator.backends.kubernetes.pods import pod_for, pod_labels
from paddock_operator.backends.kubernetes.words import FINALIZER, ORPHANING, pools_path
from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.model.resource import Resource
from paddock_operator.reconcile.clock import CLOCK, Clock
from paddock_operator.reconcile.passes import Pass
from paddock_operator.reconcile.reconciler import Link, Reconciler, rest_after
from paddock_operator.reconcile.shown import shown
from paddock_operator.signals.silent import SilentLink

log = logging.getLogger("paddock.pools")

AT_REST_S = 15.0
"""Between the passes of a pool at rest: the orchestrator forgets a declaration after 30 s."""


class ManagedPool:
    """Follows its object. `reconcile` is called by one worker at a time."""

    def __init__(
        self,
        resource: Resource[AgentDeployment],
        *,
        client: KubeClient,
        pods: Pods,
        connections: Connections,
        budgets: Budgets,
        learned: Mapping[str, object] | None,
        cordoned: Callable[[str], bool],
        wake: Callable[[], None],
        clock: Clock = CLOCK,
    ) -> None:
        """`learned` is what an earlier operator knew of the pool's sizing."""
        self.resource = resource
        self.rival = ""
        """`namespace/name` of the pool that has our agent; while there is one, what runs stays as
        it is, and leaves only when we are deleted."""
        self._learned = learned
        self.last: Pass | None = None
        self.looked_at = resource.meta.generation
        """The generation of the object that the last pass was made for. The object may be newer."""
        self._client = client
        self._connections = connections
        self._budgets = budgets
        self._wake = wake
        self._clock = clock
        self._connection: Connection | None = None
        self._reconciler: Reconciler | None = None
        self._seen_generation = -1
        self._kept_revision = ""
        self._prepared = False
        """What must be there before a pod is created is there."""
        self._unprepared = ""
        """What the operator may not do for that, in the API server's words."""
        self._since = clock.mono()
        self.backend = KubernetesBackend(
            client, pods, resource.meta, make=self._pod, cordoned=cordoned, clock=clock
        )

    @property
    def path(self) -> str:
        meta = self.resource.meta
        return f"{pools_path(meta.namespace)}/{meta.name}"

    @property
    def learned(self) -> Mapping[str, object] | None:
        """What the next operator should know of the pool's sizing."""
        return self._learned if self._reconciler is None else self._reconciler.policy.export()

    @property
    def age_s(self) -> float:
        """For how long this process has known of it."""
        return self._clock.mono() - self._since

    @property
    def deleting(self) -> bool:
        return self.resource.meta.deletion_timestamp is not None

    @property
    def forbidden(self) -> str:
        """What the operator may not do, in the API server's words; "" when it may do all."""
        return self._unprepared or self.backend.forbidden

    @property
    def overlapping_budget(self) -> str:
        """The name of somebody else's budget that selects pods of ours; "" without one."""
        if self._reconciler is None:
            return ""
        labels = pod_labels(
            self._reconciler.manifest, self.resource.meta, self._reconciler.revision
        )
        return self._budgets.overlapping(self.resource.meta.namespace, labels)

    @property
    def connection(self) -> Connection | None:
        return self._connection

    @property
    def reconciler(self) -> Reconciler | None:
        return self._reconciler

    def changed(self, resource: Resource[AgentDeployment]) -> None:
        """The object was written."""
        self.resource = resource

    def close(self) -> None:
        """The object is gone."""
        self._listen_to(None)

    async def reconcile(self) -> float | None:
        """One pass; in how many seconds the next is wanted, None when there is nothing left."""
        if self.deleting and FINALIZER not in self.resource.meta.finalizers:
            return None
        if self.deleting and ORPHANING in self.resource.meta.finalizers:
            return AT_REST_S  # its runners are to be left as they are
        if self.rival and not self.deleting:
            self._stand_aside()
            return AT_REST_S
        reconciler, generation = self._followed(), self.resource.meta.generation
        if reconciler is None:
            # Nothing valid was ever seen: there is nothing to keep, but also nothing to drain.
            if self.deleting and not self.backend.observe():
                await self._end()
            return AT_REST_S
        if not self.deleting:
            await self._prepare(reconciler)
            await self._adopt()
        await self.backend.hold(reconciler.manifest.spec.disruption.protect == "Always")
        await asyncio.sleep(0)  # marks of thousands of pods, and a look at them: not in one go
        reconciler.deleting = reconciler.deleting or self.deleting
        last = self.last = await reconciler.reconcile()
        self.looked_at = generation
        if self.deleting and not last.observed:
            await self._end()
            return AT_REST_S
        if is_at_rest(last):
            return AT_REST_S
        return rest_after(last.plan, self._clock.wall())

    def _stand_aside(self) -> None:
        """As if nothing had been seen yet: once the agent is free, we begin with what runs."""
        if self._reconciler is not None:
            self._learned = self.learned
            self._listen_to(None)
            self._reconciler = self.last = None

    def _followed(self) -> Reconciler | None:
        """The reconciler, following the newest manifest that is valid."""
        manifest, meta = self.resource.parsed, self.resource.meta
        if isinstance(manifest, tuple):
            if self._reconciler is not None or not self.deleting or self.resource.rest is None:
                return self._reconciler
            manifest = self.resource.rest  # enough to let its runners leave by
        self._listen_to(self._connections.of(meta.namespace, manifest.spec.connection_ref.name))
        link = self._link()
        if self._reconciler is None:
            adopted = bool(self.backend.observe())
            self._reconciler = Reconciler(
                manifest, self.backend, link,
                policy_for(manifest, self._learned, adopted=adopted),
                on_wake=self._wake, status=self._declared_status, clock=self._clock,
            )  # fmt: skip
            if self._connection is not None:
                self._connection.subscribe(manifest.agent_id, self._reconciler.heard)
        elif self._seen_generation != meta.generation:
            self._reconciler.change(manifest)
        self._seen_generation = meta.generation
        self._reconciler.link = link
        return self._reconciler

    def _link(self) -> Link:
        connection = self._connection
        link: Link = connection.link if connection and connection.link else SilentLink()
        return AsideLink(link) if self.rival else link

    def _listen_to(self, connection: Connection | None) -> None:
        """Hear the pool's statistics from this connection and no other."""
        if connection is self._connection:
            return
        reconciler = self._reconciler
        if self._connection is not None and reconciler is not None:
            self._connection.unsubscribe(reconciler.manifest.agent_id, reconciler.heard)
        self._connection = connection
        if connection is not None and reconciler is not None:
            connection.subscribe(reconciler.manifest.agent_id, reconciler.heard)

    def _declared_status(self, last: Pass) -> dict[str, Any]:
        now = self._clock.wall()
        return shown(last, backend="kubernetes", problem=self.backend.quota, now=now)

    async def _prepare(self, reconciler: Reconciler) -> None:
        """What has to be there before a pod is created; without it none is."""
        meta, manifest = self.resource.meta, reconciler.manifest
        self._prepared, self._unprepared = False, ""
        try:
            if FINALIZER not in meta.finalizers:
                await self._finalizer(True)
            protect = manifest.spec.disruption.protect == "Always"
            if protect and not self._budgets.holds(meta.namespace):
                await hold_budget(self._client, meta.namespace)
        except Forbidden as why:
            self._unprepared = why.message
            return
        self._prepared = True
        if self._kept_revision == reconciler.revision:
            return
        try:
            await keep_revision(
                self._client, meta, manifest, reconciler.revision,
                limit=manifest.spec.rollout.revision_history_limit,
            )  # fmt: skip
        except KubeError as why:  # a record of what was; runners do not wait for it
            log.warning("revision_not_kept", extra={"pool": self.path, "why": str(why)})
        if await self.backend.examine(reconciler.revision):
            self._kept_revision = reconciler.revision

    async def _adopt(self) -> None:
        """Take over runners that an object of this name has left behind (--cascade=orphan)."""
        orphans = self.backend.orphans()
        if not orphans:
            return
        metadata = (await self._client.get(self.path))["metadata"]
        if metadata["uid"] != self.resource.meta.uid or metadata.get("deletionTimestamp"):
            return
        for name in orphans:
            await self.backend.adopt(name)

    async def _end(self) -> None:
        """Let the object go, unless the API server has pods of it, whatever our watch says."""
        if await self.backend.has_pods():
            return
        await forget_revisions(self._client, self.resource.meta)
        await self._finalizer(False)

    async def _finalizer(self, wanted: bool) -> None:
        """Ours, among those of others; compared with the version that they were read at."""
        try:
            current = await self._client.get(self.path)
        except NotFound:
            return  # it went without us
        metadata = current["metadata"]
        others = [f for f in metadata.get("finalizers") or () if f != FINALIZER]
        body: dict[str, Any] = {
            "metadata": {
                "resourceVersion": metadata["resourceVersion"],
                "finalizers": [*others, FINALIZER] if wanted else others,
            }
        }
        await self._client.merge_patch(self.path, body)

    def _pod(self, revision: str, slot: int) -> dict[str, Any] | None:
        connection, reconciler = self._connection, self._reconciler
        if connection is None or connection.endpoint is None or reconciler is None:
            return None
        if not self._prepared:
            return None
        meta = self.resource.meta
        return pod_for(reconciler.manifest, meta, revision, slot, connection.endpoint)


def is_at_rest(last: Pass) -> bool:
    """Nothing is in flight, waits, starts, drains or is to be done: only news can change that."""
    sample, plan = last.pool.sample, last.plan
    return (
        last.fresh
        and not plan.actions
        and not (sample.in_flight or sample.queued or sample.starting)
        and sample.ready == len(last.observed) == last.decision.target
        and last.decision.target <= max(last.decision.wanted, last.settings.min_runners)
    )
