"""WebSockets: the server library's protocol, with a short way for whole small text frames.

The library hands each message through a queue to a task, and stops and starts reading around it.
That costs more than all that is done with a runner's frame. On the short way a text is given to its
listener as it is read, and written as it is sent. Whatever is not a whole, final, masked text frame
below 64 KiB goes the library's way: handshake, pings, closing, fragments, everything malformed.
Frame layout: RFC 6455, section 5.2.

Where the library would keep more and more for a peer that pings without reading, that sends
fragments without content, or that never reads its closing frame, it does not here.
"""

from collections.abc import Callable
from typing import Any

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

try:
    from websockets.speedups import apply_mask
except ImportError:  # where the library was installed without its compiled part
    from websockets.utils import apply_mask

WIRE = "paddock.wire"
"""Name of the extension in a socket's scope that is its `Wire`."""

Listener = Callable[[bytes], None]

LINGER_S = 1.0
"""For how long a peer that answered no ping may read on."""

_FINAL_TEXT = 0x81
_MASKED = 0x80
_LENGTH_16, _LENGTH_64 = 126, 127
_SHORT_HEADS = frozenset({6, 8})
"""Bytes before the payload of a masked frame below 64 KiB."""
_SHORTEST = 6
"""Bytes of a masked frame without payload."""


class Wire(WebSocketsSansIOProtocol):
    """One WebSocket connection."""

    _listener: Listener | None = None
    _rest = b""
    """The beginning of a frame whose end has not come."""
    _unwritten: list[bytes] | None = None
    """Heads and payloads of this turn of the loop."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            extensions: dict[Any, Any] = self.scope["extensions"]
            extensions[WIRE] = self

    def listen(self, listener: Listener) -> None:
        """Give each text to `listener` from now on, instead of to who receives.

        To be called in the step that accepts the socket: the peer sends nothing before. What
        `listener` raises breaks the connection.
        """
        self._listener = listener

    def write_text(self, text: str) -> bool:
        """Write a text frame at the end of this turn of the loop, with all others of the turn.

        False, with nothing written, while the peer reads too slowly. To a peer that is gone
        nothing is written, and that is True.
        """
        if not self.writable.is_set():
            return False
        payload = text.encode()
        size = len(payload)
        if size < _LENGTH_16:
            head = bytes((_FINAL_TEXT, size))
        elif size < 1 << 16:
            head = bytes((_FINAL_TEXT, _LENGTH_16)) + size.to_bytes(2, "big")
        else:
            head = bytes((_FINAL_TEXT, _LENGTH_64)) + size.to_bytes(8, "big")
        if self._unwritten is None:
            self._unwritten = [head, payload]
            self.loop.call_soon(self._flush)
        else:
            self._unwritten += (head, payload)
        return True

    def _flush(self) -> None:
        unwritten, self._unwritten = self._unwritten, None
        if unwritten is None or self.close_sent or self.disconnected:
            return
        if not self.transport.is_closing():
            self.transport.write(b"".join(unwritten))

    async def send(self, message: ASGISendEvent) -> None:
        self._flush()
        await super().send(message)
        if self.close_timer is not None:  # a mere close would wait until all is read
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.loop.call_later(LINGER_S, self.transport.abort)

    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()  # the pong, which nobody reads

    def handle_cont(self, event: Frame) -> None:
        if event.fin or event.data:
            super().handle_cont(event)

    def shutdown(self) -> None:
        self._flush()
        super().shutdown()

    def data_received(self, data: bytes) -> None:
        if self._listener is None:
            super().data_received(data)
            return
        if self._rest:
            data, self._rest = self._rest + data, b""
        at, end = 0, len(data)
        while at < end:
            head, size = 8, 0
            if end - at >= _SHORTEST and (size := data[at + 1] ^ _MASKED) < _LENGTH_16:
                head = 6
            elif size == _LENGTH_16:
                size = data[at + 2] << 8 | data[at + 3]
            else:
                head, size = _measured(data, at, end)
            after = at + head + size
            if head and size > self.config.ws_max_size:
                super().data_received(data[at:])  # refuses it by its length alone
                return
            if not head or after > end:
                self._rest = data[at:]
                return
            if head in _SHORT_HEADS and data[at] == _FINAL_TEXT and not self.frames:
                if not self.close_sent:
                    start = at + head
                    self._listener(apply_mask(data[start:after], data[start - 4 : start]))
            else:
                super().data_received(data[at:after])
            at = after

    def send_receive_event_to_app(self) -> None:
        if self._listener is None:
            super().send_receive_event_to_app()
            return
        payload, self.frames = b"".join(self.frames), []
        if not self.close_sent:
            self._listener(payload)


def _measured(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Bytes of the head and of the payload of the frame at `at`; no head: not enough to tell."""
    if end - at < 2:
        return 0, 0
    second = data[at + 1]
    masked = 4 if second & _MASKED else 0
    size = second & ~_MASKED
    if size < _LENGTH_16:
        return 2 + masked, size
    more = 2 if size == _LENGTH_16 else 8
    if end - at < 2 + more:
        return 0, 0
    return 2 + more + masked, int.from_bytes(data[at + 2 : at + 2 + more], "big")
