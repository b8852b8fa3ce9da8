"""The orchestrator's end of a text channel: each connection is played by a function of the test."""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed


class Line:
    """One connection, with frames as dicts."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket
        assert socket.request is not None
        self.asked = {k: v[0] for k, v in parse_qs(urlsplit(socket.request.path).query).items()}

    async def ready(self, received: int = 0) -> None:
        """Open the channel."""
        await self.send("ready", session_id="s-1", agent="echo", state="active", received=received)

    async def send(self, event: str, **fields: Any) -> None:
        await self._socket.send(json.dumps({"event": event, **fields}))

    async def receive(self, event: str) -> dict[str, Any]:
        """The next frame of this kind; others are skipped."""
        while True:
            frame: dict[str, Any] = json.loads(await self._socket.recv())
            if frame["event"] == event:
                return frame

    async def end(self, reason: str = "completed", detail: str = "") -> None:
        await self.send("call.ended", reason=reason, detail=detail)
        await self._socket.close(1000, reason)

    async def close(self, code: int) -> None:
        await self._socket.close(code, "closed by the test")

    def lose(self) -> None:
        """The network goes: no close frame."""
        self._socket.transport.abort()


Part = Callable[[Line], Awaitable[None]]


@contextlib.asynccontextmanager
async def text_server(*parts: Part) -> AsyncIterator[str]:
    """The URL of a server whose n-th connection is played by the n-th part."""
    left = iter(parts)

    async def play(socket: ServerConnection) -> None:
        part = next(left, None)
        if part is None:
            await socket.close(1011, "more connections than parts")
            return
        with contextlib.suppress(ConnectionClosed):
            await part(Line(socket))

    async with serve(play, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/v1/sessions/s-1/text"
