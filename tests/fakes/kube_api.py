"""An HTTP server in the place of an API server, that answers what a test wants it to."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


def status(code: int, reason: str = "", message: str = "no", **headers: str) -> web.Response:
    """A Status object, as an API server refuses."""
    body = {"kind": "Status", "code": code, "reason": reason, "message": message}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response(body, status=code, headers=named)


class FakeKubeApi:
    """Answers in turn what `tell` was given, the last one again and again; or asks `handler`."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.handler: Handler | None = None
        self._told: list[Callable[[], web.Response]] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def tell(self, *answers: Callable[[], web.Response]) -> None:
        self._told = list(answers)

    def kubeconfig(self, folder: Path, token: str = "good", port: int = 0) -> Path:
        """A file that leads here, or to another port."""
        server = f"http://127.0.0.1:{port or self.port}"
        content = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        }  # fmt: skip
        file = folder / "kubeconfig"
        file.write_text(json.dumps(content))
        return file

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self.asked.append(
            Asked(
                request.method, request.path, dict(request.query), dict(request.headers),
                json.loads(raw) if raw else None,
            )
        )  # fmt: skip
        if self.handler is not None:
            return await self.handler(request)
        answer = self._told.pop(0) if len(self._told) > 1 else self._told[0]
        return answer()
