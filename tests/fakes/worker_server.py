"""The orchestrator's end of runners' sockets: a function of the test plays each connection."""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from paddock.protocol import control, features


class Peer:
    """One connection, with frames as dicts."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket
        self.registration: dict[str, Any] = {}

    @property
    def bridge_url(self) -> str:
        """Where the server's `bridge` is played."""
        host, port = self._socket.local_address[:2]
        return f"ws://{host}:{port}/bridge"

    async def welcome(self) -> None:
        """Take the registration, as an orchestrator with every feature."""
        self.registration = await self.receive("register")
        await self.send(
            "registered", heartbeat_interval_s=1, transport_ack="dial_out",
            features=list(features.ALL), boot="b",
        )  # fmt: skip

    async def send(self, kind: str, **fields: Any) -> None:
        await self._socket.send(json.dumps({"type": kind, **fields}))

    async def receive(self, kind: str = "") -> dict[str, Any]:
        """The next frame (of this kind; others are skipped)."""
        while True:
            frame: dict[str, Any] = json.loads(await self._socket.recv())
            if frame["type"] == kind or not kind:
                return frame

    async def close(self, code: int) -> None:
        await self._socket.close(code, "closed by the test")

    def lose(self) -> None:
        """The network goes: no close frame."""
        self._socket.transport.abort()


Part = Callable[[Peer], Awaitable[None]]


@contextlib.asynccontextmanager
async def worker_server(*parts: Part, bridge: Part | None = None) -> AsyncIterator[str]:
    """The URL of a server whose n-th control socket is played by the n-th part."""
    left = iter(parts)

    async def play(socket: ServerConnection) -> None:
        assert socket.request is not None
        is_control = socket.request.path.startswith(control.PATH)
        part = next(left, None) if is_control else bridge
        if part is None:
            await socket.close(1011, "nothing is to come here")
            return
        with contextlib.suppress(ConnectionClosed):
            await part(Peer(socket))

    async with serve(play, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
