"""The sending half of an ASGI WebSocket, usable without awaiting."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from paddock.protocol import closing

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
SendMessage = Callable[[Message], Awaitable[None]]

BACKLOG_BYTES = 1 << 20
"""What may wait for a slow reader before its socket is closed."""


class Outbox:
    """Sends in order. A reader that does not keep up is cut off rather than buffered for ever."""

    def __init__(self, send: SendMessage) -> None:
        self._send = send
        self._backlog: deque[Message] = deque()
        self._bytes = 0
        self._drainer: asyncio.Task[None] | None = None
        self.closed = False

    def text(self, text: str) -> None:
        """Send a text message now, or as soon as the peer reads again."""
        if not self.closed:
            message: Message = {"type": "websocket.send", "text": text}
            if self._drainer is not None or not self._at_once(message):
                self._put(message, len(text))

    def close(self, code: int, reason: str = "") -> None:
        """Send what waits, then the closing frame. What is put later is dropped."""
        if not self.closed:
            self.closed = True
            message: Message = {"type": "websocket.close", "code": code, "reason": reason[:120]}
            if self._drainer is not None or not self._at_once(message):
                self._put(message, 0)

    def dropped(self) -> None:
        """The peer is gone: nothing will be sent any more."""
        self.closed = True
        self._backlog.clear()
        if self._drainer is not None:
            self._drainer.cancel()

    def _put(self, message: Message, size: int) -> None:
        """Keep what cannot be sent at once."""
        self._backlog.append(message)
        self._bytes += size
        if self._bytes > BACKLOG_BYTES:
            self._backlog.clear()
            self.closed = True
            slow = {
                "type": "websocket.close",
                "code": closing.PROTOCOL_VIOLATION,
                "reason": "slow reader",
            }
            self._backlog.append(slow)
        if self._drainer is None:
            self._drainer = asyncio.get_running_loop().create_task(self._drain())

    def _at_once(self, message: Message) -> bool:
        """Send without a task when the socket is writable, which is nearly always.

        The server waits for writability before it writes, so a coroutine that suspends has
        written nothing and can be thrown away.
        """
        sending: Any = self._send(message)
        try:
            sending.send(None)
        except StopIteration:
            return True
        except Exception:
            self.dropped()
            return True
        sending.close()
        return False

    async def _drain(self) -> None:
        try:
            while self._backlog:
                message = self._backlog.popleft()
                self._bytes -= len(message.get("text", ""))
                await self._send(message)
        except Exception:
            self.closed = True
            self._backlog.clear()
        finally:
            self._drainer = None
