"""Tells of passes: in the object's status, in events, in metrics and in explanations."""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.errors import AlreadyExists, KubeError, NotFound
from paddock_operator.backends.kubernetes.facts import pool_facts
from paddock_operator.backends.kubernetes.managed_pool import ManagedPool
from paddock_operator.backends.kubernetes.mirror import version_number
from paddock_operator.backends.kubernetes.words import MANAGER
from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.model.resource import ObjectMeta, Resource
from paddock_operator.model.status import status_json
from paddock_operator.observe.explain import Explanations
from paddock_operator.observe.facts import TemplateProblem
from paddock_operator.observe.metrics import Metrics, PoolKey
from paddock_operator.observe.pool_status import invalid_status_json, pool_status
from paddock_operator.observe.scene import Scene
from paddock_operator.observe.status_policy import Later, StatusPolicy, Write
from paddock_operator.observe.story import Storyteller, Told, story
from paddock_operator.reconcile.clock import CLOCK, Clock

log = logging.getLogger("paddock.operator")

UNWRITTEN_S = 15.0
"""Until a status that could not be written is tried again."""


class Teller:
    """One for a process. What cannot be told now is told with a later pass."""

    def __init__(self, client: KubeClient, metrics: Metrics, clock: Clock = CLOCK) -> None:
        self._client = client
        self._clock = clock
        self._metrics = metrics
        self.explanations = Explanations()
        self._policy = StatusPolicy()
        self._storyteller = Storyteller()
        self._scenes: dict[PoolKey, Scene] = {}
        self._shown: dict[PoolKey, tuple[Scene | None, Resource[AgentDeployment], int, str]] = {}
        """What the status was last found to be right for, so that nothing is counted at rest."""
        self._written: dict[PoolKey, tuple[int, Mapping[str, object]]] = {}
        """The status last written, with the version that it made."""

    async def tell(self, key: PoolKey, pool: ManagedPool) -> float | None:
        """After a pass; in how many seconds to come again for what may not be written yet."""
        reconciler, last, clock = pool.reconciler, pool.last, self._clock
        before = self._scenes.get(key)
        scene = None
        if reconciler is not None and last is not None:
            scene = Scene(last, pool_facts(pool, reconciler, clock), clock.wall())
            self._metrics.record_pass(key, scene, reconciler.manifest)
            await asyncio.sleep(0)  # counting and telling of thousands of runners: not in one go
        if reconciler is not None and scene is not None and not _same(before, scene):
            self._scenes[key] = scene
            self.explanations.keep("/".join(key), scene)
            told = story(before, scene, reconciler.manifest)
            for one in self._storyteller.news("/".join(key), told, clock.mono()):
                await self._event(pool.resource.meta, one)
        return await self._status(key, pool)

    def forget(self, key: PoolKey) -> None:
        """The object is gone."""
        name = "/".join(key)
        self._scenes.pop(key, None)
        self._shown.pop(key, None)
        self._written.pop(key, None)
        self._policy.forget(name)
        self._storyteller.forget(name)
        self.explanations.forget(name)
        self._metrics.forget(key)

    async def _status(self, key: PoolKey, pool: ManagedPool) -> float | None:
        shown = (self._scenes.get(key), pool.resource, pool.looked_at, pool.rival)
        if self._shown.get(key) == shown:
            return None
        # The watch lags behind our own writes; what it brings later is somebody else's.
        version, written = self._written.get(key, (0, {}))
        if version_number(pool.resource.meta.resource_version) > version:
            written = pool.resource.status
        status = self._said(key, pool, written)
        if status is None:
            return None
        now = self._clock.mono()
        due = self._policy.due("/".join(key), written, status, now)
        if isinstance(due, Later):
            return due.at - now
        if isinstance(due, Write):
            try:
                version = await write_status(
                    self._client, pool.path, "AgentDeployment", pool.resource.meta, status
                )
            except KubeError as why:  # a pool is sized also where nobody may be told of it
                log.warning("status_not_written", extra={"pool": "/".join(key), "why": str(why)})
                return UNWRITTEN_S
            self._written[key] = version, status
        self._shown[key] = shown
        return None

    def _said(
        self, key: PoolKey, pool: ManagedPool, before: Mapping[str, object]
    ) -> dict[str, object] | None:
        scene, parsed, reconciler = self._scenes.get(key), pool.resource.parsed, pool.reconciler
        if reconciler is not None and scene is not None:
            if before and not reconciler.feed.ever and pool.age_s < reconciler.feed.stale_after_s:
                return None  # what another process wrote is truer than what this one knows yet
            # The object may have changed during the pass, which says nothing of its new spec.
            status = pool_status(
                scene, reconciler.manifest, generation=pool.looked_at, before=before
            )
            return status_json(status)
        problem = None
        if pool.rival:
            problem = TemplateProblem("AgentTaken", pool.rival)
        elif isinstance(parsed, tuple):
            problem = TemplateProblem("Invalid", "; ".join(map(str, parsed)))
        if problem is not None:
            return invalid_status_json(
                pool.resource.meta.name,
                generation=pool.resource.meta.generation,
                before=before,
                problem=problem,
                now=self._clock.wall(),
            )
        return None

    async def _event(self, about: ObjectMeta, told: Told) -> None:
        """Events are for people who look; one that cannot be written is not worth a pass."""
        at = datetime.fromtimestamp(self._clock.wall(), UTC)
        digest = hashlib.sha256(f"{told.reason}{told.message}{at.timestamp()}".encode()).hexdigest()
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{about.name}.{digest[:16]}", "namespace": about.namespace},
            "involvedObject": {
                "apiVersion": "paddock.dev/v1alpha1",
                "kind": "AgentDeployment",
                "name": about.name,
                "namespace": about.namespace,
                "uid": about.uid,
                "resourceVersion": about.resource_version,
            },
            "type": told.type,
            "reason": told.reason,
            "message": told.message,
            "source": {"component": MANAGER},
            "firstTimestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lastTimestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "count": 1,
        }
        try:
            await self._client.create(f"/api/v1/namespaces/{about.namespace}/events", body)
        except AlreadyExists:
            pass
        except KubeError as why:
            log.debug("event_not_written", extra={"reason": told.reason, "why": str(why)})


def _same(before: Scene | None, scene: Scene) -> bool:
    """There is nothing to tell: statistics that only became younger are no news."""
    if before is None or before.last != scene.last:
        return False
    return replace(before.facts, stats_time=scene.facts.stats_time) == scene.facts


async def write_status(
    client: KubeClient, path: str, kind: str, meta: ObjectMeta, status: Mapping[str, object]
) -> int:
    """The whole status, as its only writer; the version it made. An object that is gone: 0."""
    body = {
        "apiVersion": "paddock.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": meta.name, "namespace": meta.namespace},
        "status": status,
    }
    with contextlib.suppress(NotFound):
        after = await client.apply(path, body, manager=f"{MANAGER}-status", subresource="status")
        return version_number(after["metadata"]["resourceVersion"])
    return 0
