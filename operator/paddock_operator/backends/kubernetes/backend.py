"""The pool backend of a cluster: runners are pods, and every write is a compare-and-swap.

What the API server answers to a write is learned at once, so that the next pass sees it even if
the watch lags. An answer that was lost is asked for again: names are those of slots, so creating
twice creates once.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Protocol

from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    QuotaExceeded,
)
from paddock_operator.backends.kubernetes.intents import intent_annotations
from paddock_operator.backends.kubernetes.pods import (
    PodView,
    hold_marks,
    observed,
    owner_reference,
    pod_name,
)
from paddock_operator.backends.kubernetes.words import MANAGED, POOL, pods_path
from paddock_operator.model.resource import ObjectMeta
from paddock_operator.plan.actions import CancelStart, Commit, Create, Forget, WriteIntent
from paddock_operator.plan.drain import commit_holds, write_holds
from paddock_operator.reconcile.backend import Observed
from paddock_operator.reconcile.clock import CLOCK, Clock

log = logging.getLogger("paddock.pods")

REFUSED_S = 15.0
"""How long a revision whose pod was refused is not tried again."""
TRIES = 4
"""Of a write that others' writes to the same pod, as kubelet's, get in the way of."""


class Pods(Protocol):
    """What is known of the pods that the operator made."""

    def of(self, namespace: str, pool: str) -> Sequence[PodView]:
        """Those of one pool."""
        ...

    def get(self, namespace: str, name: str) -> PodView | None:
        """One by its name, at no cost of looking at the others."""
        ...

    def learn(self, pod: dict[str, Any]) -> PodView:
        """An answer of the API server, at least as new as what the watch has brought."""
        ...

    def lost(self, namespace: str, name: str, uid: str) -> None:
        """The API server says that there is no such pod any more."""
        ...


class KubernetesBackend:
    """The pods of one AgentDeployment."""

    def __init__(
        self,
        client: KubeClient,
        pods: Pods,
        owner: ObjectMeta,
        *,
        make: Callable[[str, int], dict[str, Any] | None],
        cordoned: Callable[[str], bool],
        clock: Clock = CLOCK,
    ) -> None:
        """`make(revision, slot)` is the pod to create, None while it cannot be known.

        `cordoned(node)` says that the node is going away.
        """
        self._client = client.share()
        self._pods = pods
        self._owner = owner
        self._make = make
        self._cordoned = cordoned
        self._clock = clock
        self._path = pods_path(owner.namespace)
        self.quota = ""
        """The quota's words, while it keeps pods from being created."""
        self.rejected: Invalid | Forbidden | None = None
        """Why the API server takes no pod of the template, while it does not."""
        self.forbidden = ""
        """What the operator may not do with pods that are there, in the API server's words."""
        self._foreign: set[str] = set()
        """Names of slots that pods of somebody else have taken."""
        self._observed: dict[str, str] = {}
        """Uids of the pods, by name, that what is asked of us rests on."""
        self._taken: set[str] = set()
        """Names that were taken then, and those of pods that were created since."""
        self._refused = ("", 0.0)
        """Revision, and until when (monotonic seconds) none of its pods is tried."""

    def observe(self) -> Sequence[Observed]:
        named = self._pods.of(self._owner.namespace, self._owner.name)
        self._taken = {pod.name for pod in named}
        mine = [pod for pod in named if pod.owner == self._owner.uid]
        self._observed = {pod.name: pod.uid for pod in mine}
        leaving = {node for node in {pod.node for pod in mine} if node and self._cordoned(node)}
        return [observed(pod, cordoned=pod.node in leaving) for pod in mine]

    def pods(self) -> dict[str, PodView]:
        """The pool's pods by name."""
        return {pod.name: pod for pod in self._mine()}

    async def has_pods(self) -> bool:
        """Whether the API server has any of them, as it says itself and not the watch."""
        labels = f"{MANAGED},{POOL}={self._owner.name}"
        listed = (await self._client.list(self._path, labels=labels)).items
        views = [self._pods.learn(pod) for pod in listed]
        return any(view.owner == self._owner.uid for view in views)

    def _mine(self) -> list[PodView]:
        pods = self._pods.of(self._owner.namespace, self._owner.name)
        return [pod for pod in pods if pod.owner == self._owner.uid]

    def orphans(self) -> list[str]:
        """Names of pods of a pool of this name that have lost their owner, and live."""
        pods = self._pods.of(self._owner.namespace, self._owner.name)
        return [pod.name for pod in pods if not pod.owner and not pod.deleting]

    async def adopt(self, name: str) -> None:
        """Be the owner of a pod that has none. Call it only after a look at the owner itself:
        pods of an owner that is no more are collected, with their calls."""
        path = f"{self._path}/{name}"
        try:
            metadata = (await self._client.get(path))["metadata"]
            owners = metadata.get("ownerReferences") or []
            if any(owner.get("controller") for owner in owners):
                return
            mine = {
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
                "ownerReferences": [*owners, owner_reference(self._owner)],
            }
            self._pods.learn(await self._client.merge_patch(path, {"metadata": mine}))
            log.info("adopted", extra={"pod": name, "namespace": self._owner.namespace})
        except (NotFound, Conflict):
            pass  # the next pass sees what has become of it

    async def create(self, action: Create) -> None:
        """In the slots that were free when this was decided: what another operator has created
        since has the same names, and stands for what would be one too many.

        One pod first: where it is refused, the others would be too.
        """
        refused, until = self._refused
        if action.revision == refused and self._clock.mono() < until:
            return
        taken = self._taken | self._foreign
        names = (pod_name(self._owner.name, action.revision, slot) for slot in count())
        slots = [
            slot
            for slot, name in zip(range(len(taken) + action.count), names, strict=False)
            if name not in taken
        ][: action.count]
        if slots and await self._create(action.revision, slots[0]):
            await asyncio.gather(*(self._create(action.revision, slot) for slot in slots[1:]))

    async def _create(self, revision: str, slot: int) -> bool:
        pod = self._make(revision, slot)
        if pod is None:
            return False
        made: PodView | None
        try:
            made = self._pods.learn((await self._client.create(self._path, pod)).object)
        except AlreadyExists:
            made = await self._read(pod["metadata"]["name"])
        except QuotaExceeded as why:
            self.quota = why.message
            self._refuse(revision)
            return False
        except (Invalid, Forbidden) as why:
            self.rejected = why
            self._refuse(revision)
            return False
        if made is not None and made.owner != self._owner.uid:
            log.warning("name_taken", extra={"pod": made.name, "namespace": made.namespace})
            self._foreign.add(made.name)
            return False
        self.quota, self.rejected = "", None
        self._taken.add(pod["metadata"]["name"])
        return True

    async def write_intent(self, action: WriteIntent) -> bool:
        """Compared with the stored intent, and with the version of the pod that it stands in."""
        after = intent_annotations(action.after)

        async def write(pod: PodView) -> None:
            metadata = {"resourceVersion": pod.resource_version, "annotations": after}
            path = f"{self._path}/{pod.name}"
            self._pods.learn(await self._client.merge_patch(path, {"metadata": metadata}))

        return await self._swap(
            action.runner_id,
            lambda pod: not pod.deleting and write_holds(pod.intent, action),
            write,
        )

    async def commit(self, action: Commit) -> bool:
        """DELETE of this pod at this version: it fails if anything was written meanwhile."""
        return await self._swap(
            action.runner_id,
            lambda pod: not pod.deleting and commit_holds(pod.intent, action),
            self._delete,
        )

    async def cancel_start(self, action: CancelStart) -> bool:
        """Only while nothing runs of it: binding and starting it change its version."""
        return await self._swap(
            action.runner_id,
            lambda pod: not pod.deleting and (not pod.node or pod.stuck),
            self._delete,
        )

    async def forget(self, action: Forget) -> None:
        await self._swap(action.runner_id, lambda pod: not pod.deleting, self._delete)

    async def hold(self, protect: bool) -> None:
        """Mark the pods for those who evict, as the manifest now says; new pods are born so."""
        labels, annotations = hold_marks(protect)

        async def write(pod: PodView) -> None:
            metadata = {
                "resourceVersion": pod.resource_version,
                "labels": labels,
                "annotations": annotations,
            }
            path = f"{self._path}/{pod.name}"
            self._pods.learn(await self._client.merge_patch(path, {"metadata": metadata}))

        def wrong(pod: PodView) -> bool:
            return pod.held != protect and not pod.deleting

        names = [pod.name for pod in self._mine() if wrong(pod)]
        await asyncio.gather(*(self._swap(name, wrong, write) for name in names))

    async def _delete(self, pod: PodView) -> None:
        answer = await self._client.delete(
            f"{self._path}/{pod.name}", uid=pod.uid, resource_version=pod.resource_version
        )
        if answer.get("kind") == "Pod" and answer["metadata"].get("deletionTimestamp"):
            self._pods.learn(answer)

    async def _swap(
        self,
        name: str,
        holds: Callable[[PodView], bool],
        write: Callable[[PodView], Any],
    ) -> bool:
        """`write` while `holds`: read anew each time somebody else wrote in between.

        A pod that has taken the name since it was observed is another runner: it is left alone.
        """
        pod, uid = self._pods.get(self._owner.namespace, name), self._observed.get(name)
        for _ in range(TRIES):
            if pod is None or pod.uid != uid or pod.owner != self._owner.uid or not holds(pod):
                return False
            try:
                await write(pod)
                self.forbidden = ""
                return True
            except NotFound:
                self._pods.lost(pod.namespace, pod.name, pod.uid)
                return False
            except Forbidden as why:
                self.forbidden = why.message
                return False
            except Conflict:
                pod = await self._read(name)
        return False

    async def _read(self, name: str) -> PodView | None:
        try:
            pod = self._pods.learn(await self._client.get(f"{self._path}/{name}"))
        except NotFound:
            known = self._pods.get(self._owner.namespace, name)
            if known is not None:
                self._pods.lost(known.namespace, known.name, known.uid)
            return None
        return pod

    def _refuse(self, revision: str) -> None:
        self._refused = (revision, self._clock.mono() + REFUSED_S)

    async def examine(self, revision: str) -> bool:
        """Ask whether the API server would take a pod of this revision, for `rejected` to say.

        False while that cannot be asked yet.
        """
        pod = self._make(revision, 0)
        if pod is None:
            return False
        pod["metadata"]["name"] = f"{self._owner.name}-{revision}-dry-run"
        self.rejected = None
        try:
            await self._client.dry_run_create(self._path, pod)
        except QuotaExceeded:
            pass  # the revision is good; what is missing is room
        except (Invalid, Forbidden) as why:
            self.rejected = why
            self._refuse(revision)
        return True
