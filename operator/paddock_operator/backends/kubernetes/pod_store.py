"""The operator's pods: what the watch has brought, and what writes have answered since."""

from collections.abc import Callable, Sequence
from typing import Any

from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.informer import Informer
from paddock_operator.backends.kubernetes.mirror import Key, version_number
from paddock_operator.backends.kubernetes.pods import PodView, pod_view
from paddock_operator.backends.kubernetes.words import MANAGED, POOL
from paddock_operator.observe.metrics import PoolKey
from paddock_operator.reconcile.clock import CLOCK, Clock


class PodStore:
    """All runners' pods by pool.

    An answer counts until the watch is past its version. So a pass sees its own writes, and an
    old answer never hides what came later.
    """

    def __init__(
        self,
        client: KubeClient,
        path: str,
        changed: Callable[[PoolKey], None],
        *,
        clock: Clock = CLOCK,
    ) -> None:
        """`changed(pool)` is called when the watch brings something new of a pool's pods."""
        self.informer: Informer[PodView] = Informer(
            client, path, MANAGED, _kept, on_change=self._on_change, clock=clock.mono
        )
        self._changed = changed
        self._names: dict[PoolKey, dict[Key, None]] = {}
        """In the order in which they were first seen."""
        self._answers: dict[Key, PodView] = {}
        self._lost: dict[Key, str] = {}
        """Uids of pods that the server does not have any more."""

    def of(self, namespace: str, pool: str) -> Sequence[PodView]:
        keys = self._names.get(PoolKey(namespace, pool), {})
        store, answers, lost = self.informer.store, self._answers, self._lost
        found = []
        for key in list(keys):
            pod = self._now(key) if key in answers or key in lost else store.get(key)
            if pod is None:
                del keys[key]
            else:
                found.append(pod)
        return found

    def get(self, namespace: str, name: str) -> PodView | None:
        return self._now(Key(namespace, name))

    def learn(self, pod: dict[str, Any]) -> PodView:
        view = pod_view(pod)
        key = Key(view.namespace, view.name)
        self._answers[key] = view
        self._names.setdefault(PoolKey(view.namespace, view.pool), {})[key] = None
        return view

    def lost(self, namespace: str, name: str, uid: str) -> None:
        self._lost[Key(namespace, name)] = uid

    def _now(self, key: Key) -> PodView | None:
        seen, answer = self.informer.store.get(key), self._answers.get(key)
        if answer is not None and version_number(answer.resource_version) > self._seen_version:
            pod: PodView | None = answer
        else:
            self._answers.pop(key, None)
            pod = seen
        lost = self._lost.get(key)
        if lost is not None:
            if pod is not None and pod.uid == lost:
                return None
            del self._lost[key]
        return pod

    @property
    def _seen_version(self) -> int:
        return version_number(self.informer.version)

    def _on_change(self, key: Key, old: PodView | None, new: PodView | None) -> None:
        for pod in (old, new):
            if pod is not None:
                pool = PoolKey(pod.namespace, pod.pool)
                self._names.setdefault(pool, {})[key] = None
                self._changed(pool)


def _kept(pod: dict[str, Any]) -> PodView | None:
    return pod_view(pod) if POOL in (pod["metadata"].get("labels") or {}) else None
