"""An HTTP proxy before an API server that does to requests what a bad day does.

Speaks plain HTTP to its clients, so that it can refuse single requests, lose single answers and end
single watches. Without `faults` it only passes on.
"""

import asyncio
import contextlib
import json
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp import web

from testbed.kubeconfig import read

_HOP = {"host", "connection", "transfer-encoding", "content-length", "keep-alive"}
_WRITES = {"PUT", "PATCH", "DELETE"}


@dataclass(frozen=True, slots=True)
class Faults:
    """Shares of all requests, each between 0 and 1; watches are only ended and held back."""

    shed: float = 0.0
    """429, asked to come again in a second."""
    broken: float = 0.0
    """500, and nothing was done."""
    conflict: float = 0.0
    """409, of writes to what is there; nothing was done."""
    lost: float = 0.0
    """Done, and the connection lost before the answer."""
    late: float = 0.0
    """Passed on up to `late_s` later."""
    late_s: float = 1.0
    watch_s: float = float("inf")
    """A watch lasts half to all of this."""
    watch_late_s: float = 0.0
    """What a watch tells comes up to so much later."""


NONE = Faults()
SOME = Faults(
    shed=0.03, broken=0.04, conflict=0.15, lost=0.03, late=0.1, watch_s=15.0, watch_late_s=0.5
)


class FaultProxy:
    """`async with FaultProxy(kubeconfig, seed) as proxy`; its clients use `proxy.kubeconfig`."""

    def __init__(self, kubeconfig: Path, folder: Path, seed: int) -> None:
        self._access = read(kubeconfig)
        self.kubeconfig = folder / "proxied.kubeconfig"
        self.faults = NONE
        self.unserved = ""
        """A path that is not there."""
        self.create_s = 0.0
        """How long the creation of a pod takes, at least."""
        self.creating = 0
        """Pods that are being created."""
        self.done: Counter[str] = Counter()
        """How often each kind of fault was done."""
        self._random = random.Random(seed)

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, ssl=self._access.tls or True)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False
        )
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._write_kubeconfig(self._runner.addresses[0][1])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    def _write_kubeconfig(self, port: int) -> None:
        user = {"token": self._access.token} if self._access.token else {}
        content = {
            "apiVersion": "v1", "kind": "Config", "current-context": "proxied",
            "clusters": [
                {"name": "proxied", "cluster": {"server": f"http://127.0.0.1:{port}"}}
            ],
            "users": [{"name": "proxied", "user": user}],
            "contexts": [{"name": "proxied", "context": {"cluster": "proxied", "user": "proxied"}}],
        }  # fmt: skip
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(json.dumps(content))

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if request.path == self.unserved:
            return _status(404, "NotFound", {})
        if request.method == "POST" and request.path.endswith("/pods"):
            self.creating += 1
            await asyncio.sleep(self.create_s)
            self.creating -= 1
        watch = request.query.get("watch") in ("1", "true")
        fault = "" if watch else self._drawn(request.method)
        if fault:
            self.done[fault] += 1
        if fault in _REFUSALS:
            return _status(*_REFUSALS[fault])
        if fault == "late":
            await asyncio.sleep(self._random.uniform(0, self.faults.late_s))
        try:
            async with self._passed_on(request) as answer:
                if watch:
                    return await self._watch(request, answer)
                body = await answer.read()
        except (aiohttp.ClientError, ConnectionError):
            return _cut(request)
        if fault == "lost":
            return _cut(request)
        headers = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP}
        return web.Response(status=answer.status, body=body, headers=headers)

    def _passed_on(self, request: web.Request) -> Any:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        url = f"{self._access.server}{request.raw_path}"

        @contextlib.asynccontextmanager
        async def passed() -> Any:
            async with self._session.request(
                request.method, url, headers=headers, data=await request.read() or None
            ) as answer:
                yield answer

        return passed()

    async def _watch(
        self, request: web.Request, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        faults, drawn = self.faults, self._random.uniform
        headers = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP}
        out = web.StreamResponse(status=answer.status, headers=headers)
        await out.prepare(request)
        lasts = None if faults.watch_s == float("inf") else drawn(0.5, 1.0) * faults.watch_s
        with contextlib.suppress(ConnectionError):
            try:
                async with asyncio.timeout(lasts):
                    async for chunk in answer.content.iter_any():
                        if self.faults.watch_late_s:
                            await asyncio.sleep(drawn(0, self.faults.watch_late_s))
                        await out.write(chunk)
            except TimeoutError:
                self.done["watch"] += 1
            except aiohttp.ClientError:
                return _cut(request)
        return out

    def _drawn(self, method: str) -> str:
        faults, point = self.faults, self._random.random()
        for name in ("shed", "broken", "conflict", "lost", "late"):
            share = getattr(faults, name)
            if point < share:
                return "" if name == "conflict" and method not in _WRITES else name
            point -= share
        return ""


_REFUSALS = {
    "shed": (429, "TooManyRequests", {"Retry-After": "1"}),
    "broken": (500, "InternalError", {}),
    "conflict": (409, "Conflict", {}),
}


def _status(code: int, reason: str, headers: dict[str, str]) -> web.Response:
    body = {
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "reason": reason, "message": "injected",
    }  # fmt: skip
    return web.json_response(body, status=code, headers=headers)


def _cut(request: web.Request) -> web.Response:
    """No answer: the connection is reset."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)
