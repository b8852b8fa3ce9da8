"""What the sizing policies learned, across restarts: one ConfigMap for all pools of an operator.

It only makes the first minutes better: what cannot be read or written is done without.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping

from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.errors import KubeError, NotFound
from paddock_operator.backends.kubernetes.words import LEARNED, MANAGED_BY, MANAGER
from paddock_operator.observe.metrics import PoolKey

log = logging.getLogger("paddock.operator")

SAVE_S = 60.0

Learned = Mapping[str, object]


class LearnedStates:
    """By pool. Written when something changed, and at most each `SAVE_S`."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._path = f"/api/v1/namespaces/{namespace}/configmaps/{LEARNED}"
        self._stored: dict[str, str] = {}

    async def load(self) -> None:
        """Read what an earlier operator kept."""
        try:
            self._stored = dict((await self._client.get(self._path)).get("data") or {})
        except NotFound:
            pass
        except KubeError as why:
            log.warning("learned_not_read", extra={"why": str(why)})

    def of(self, key: PoolKey) -> Learned | None:
        """What is known of the pool; a policy checks for itself whether it makes sense."""
        try:
            found = json.loads(self._stored.get(_name(key), "null"))
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    async def run(self, export: Callable[[], Mapping[PoolKey, Learned]]) -> None:
        """Save what `export` gives, until cancelled, and once more then."""
        try:
            while True:
                await asyncio.sleep(SAVE_S)
                await self._save(export())
        finally:
            await asyncio.shield(self._save(export()))

    async def _save(self, states: Mapping[PoolKey, Learned]) -> None:
        data = {_name(key): _written(state) for key, state in states.items()}
        if data == self._stored:
            return
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": LEARNED,
                "namespace": self._namespace,
                "labels": {MANAGED_BY: MANAGER},
            },
            "data": data,
        }
        try:
            await self._client.apply(self._path, body, manager=MANAGER)
        except KubeError as why:
            log.warning("learned_not_written", extra={"why": str(why)})
        else:
            self._stored = data


def _written(state: Learned) -> str:
    """Short: an object has a megabyte for thousands of pools, and no policy needs more digits."""
    return json.dumps(_rounded(state), sort_keys=True, separators=(",", ":"))


def _rounded(value: object) -> object:
    match value:
        case float():
            return float(f"{value:.4g}")
        case Mapping():
            return {name: _rounded(each) for name, each in value.items()}
        case list() | tuple():
            return [_rounded(each) for each in value]
    return value


def _name(key: PoolKey) -> str:
    """A key of a ConfigMap: neither part has a dot."""
    return ".".join(key)
