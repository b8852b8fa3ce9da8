"""The sending half of a WebSocket, usable without awaiting."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from paddock.protocol import closing
from paddock_orchestrator.listener.websocket import WIRE, Wire

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
SendMessage = Callable[[Message], Awaitable[None]]

BACKLOG_BYTES = 1 << 20
"""What may wait for a slow reader before its socket is closed."""


class Outbox:
    """Sends in order. A reader that does not keep up is cut off rather than buffered for ever."""

    def __init__(self, scope: Any, send: SendMessage) -> None:
        self._wire: Wire = scope["extensions"][WIRE]
        self._send = send
        self._backlog: deque[str] = deque()
        self._bytes = 0
        self._ending: Message | None = None
        self._drainer: asyncio.Task[None] | None = None
        self.closed = False

    def text(self, text: str) -> None:
        """Send a text message now, or as soon as the peer reads again."""
        if self.closed or (self._drainer is None and self._wire.write_text(text)):
            return
        self._backlog.append(text)
        self._bytes += len(text)
        if self._bytes > BACKLOG_BYTES:
            self._backlog.clear()
            self.close(closing.PROTOCOL_VIOLATION, "slow reader")
        self._drain_soon()

    def close(self, code: int, reason: str = "") -> None:
        """Send what waits, then the closing frame. What is put later is dropped."""
        if self.closed:
            return
        self.closed = True
        self._ending = {"type": "websocket.close", "code": code, "reason": reason[:120]}
        if self._drainer is None and self._wire.writable.is_set():
            _at_once(self._send(self._ending))
        else:
            self._drain_soon()

    def dropped(self) -> None:
        """The peer is gone: nothing will be sent any more."""
        self.closed = True
        self._backlog.clear()
        if self._drainer is not None:
            self._drainer.cancel()

    def _drain_soon(self) -> None:
        if self._drainer is None:
            self._drainer = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        try:
            while self._backlog:
                await self._wire.writable.wait()
                while self._backlog and self._wire.write_text(self._backlog[0]):
                    self._bytes -= len(self._backlog.popleft())
            if self._ending is not None:
                await self._send(self._ending)
        except Exception:  # whatever it is, the peer is gone
            self.closed = True
            self._backlog.clear()
        finally:
            self._drainer = None


def _at_once(sending: Awaitable[None]) -> None:
    """Send on a writable socket, which suspends nowhere: whoever serves it may return next."""
    step: Any = sending
    with contextlib.suppress(StopIteration, ConnectionError, OSError):
        step.send(None)
        step.close()
