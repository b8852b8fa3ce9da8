"""A client whose API server is in memory and answers at once."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from kubernetes.aio.client import Configuration

from fakes.simulated.api_server import ApiServer, Json, Refused
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.errors import error_of
from paddock_operator.backends.kubernetes.transport import Transport

NOW = 1_800_000_000.0


async def _no_access() -> Configuration:
    raise AssertionError("nothing is sent")


class _Direct(Transport):
    def __init__(self, api: ApiServer, before: Callable[[str, str], None]) -> None:
        super().__init__(_no_access)
        self._api_server = api
        self._before = before

    async def _credential(self) -> int:
        return 1

    async def _attempt(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: object,
        content_type: str,
        verb: str,
    ) -> bytes:
        self._before(method, path)
        try:
            answer = self._api_server.handle("us", method, path, query or {}, body, content_type)
        except Refused as why:
            raise error_of(why.status, why.body) from None
        return msgspec.json.encode(answer)


class KubeMemory:
    """`before` is called ahead of each request that `client` makes, and may do or raise things."""

    def __init__(self) -> None:
        self.api = ApiServer(lambda: NOW)
        self.before: Callable[[str, str], None] = lambda method, path: None
        self.client = KubeClient(_Direct(self.api, lambda *asked: self.before(*asked)))

    def put(self, path: str, name: str, **parts: Any) -> Json:
        """Somebody else creates an object."""
        metadata = {"name": name, "namespace": "n", **parts.pop("metadata", {})}
        body = {"metadata": metadata, **parts}
        return self.api.handle("somebody", "POST", path, {}, body, "application/json")
