"""HTTP: the server library's protocol, with a short way for starts.

A start goes without scope, task, events and messages, which cost as much as everything that is done
with it: its request is collected in an `Exchange`, given to the application when it is whole, and
answered by one write. All other requests are the library's.

A connection holds little for its peer, whoever it is: nothing is served while the answers are not
read, few requests wait in line, heads and bodies have bounds, and a peer that does not do what is
its turn for a while is gone.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol, cast
from urllib.parse import unquote_to_bytes

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_PREFIX, _SUFFIX = b"/v1/public/", b"/start"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = b"connection: close\r\n"
_HEADS = {
    s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\ncontent-type: application/json\r\n".encode()
    for s in HTTPStatus
}

REQUEST_S = 20.0
"""How long a peer may take for a request, or to read on."""
IN_LINE = 32
"""Requests that may wait for the answer of one before them."""
HEAD_BYTES, BODY_BYTES = 64 << 10, 16 << 20
"""Bounds of a request that comes in parts, and of what is around its parts."""

READ_AWAY_TIMES, READ_AWAY_S = 16, 2.0
"""How much of a body that is too large, in limits, and for how long, is read away before its
refusal: a client that is still sending would not see the answer."""


class Application(Protocol):
    """What an application that takes starts is besides an ASGI application."""

    max_body_bytes: int
    request_timeout_s: float

    def start(self, exchange: "Exchange") -> None:
        """Answer a whole request, now or later. Raises nothing."""


class Exchange:
    """One start's request and its answer. For the library it stands where a request cycle does."""

    __slots__ = (
        "_body", "_connection", "_due", "_size", "_whole", "agent", "disconnected", "headers",
        "keep_alive", "message_event", "on_lost", "response_complete", "scheme",
    )  # fmt: skip

    def __init__(self, connection: "Connection", agent: str, *, keep_alive: bool) -> None:
        self._connection = connection
        self._body: list[bytes] = []
        self._size = 0
        self._whole = False
        self._due = False
        self.agent = agent
        self.headers: dict[bytes, bytes] = dict(connection.headers)
        """By name in lower case; of several of one name, the last."""
        self.scheme = connection.scheme
        self.on_lost: Callable[[], None] | None = None
        """Called if the caller goes away before the answer."""
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False
        self.message_event = self

    @property
    def body(self) -> bytes:
        body = self._body
        return body[0] if len(body) == 1 else b"".join(body)

    @property
    def too_large(self) -> bool:
        """The body is larger than the limit, and not here."""
        return self._size > self._connection.application.max_body_bytes

    def answer(
        self, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        """The one answer, JSON. To a caller who is gone it is not sent."""
        if self.disconnected or self.response_complete:
            return
        self.response_complete = True
        self.on_lost = None
        parts = [_HEADS[status], b"content-length: %d\r\n" % len(body)]
        parts += [b"%b: %b\r\n" % header for header in headers]
        if not self.keep_alive:
            parts.append(_CLOSE)
        self._connection.answered(self, b"".join((*parts, b"\r\n", body)))

    def add(self, part: bytes) -> None:
        """A part of the body came."""
        self._size += len(part)
        if not self.too_large:
            self._body.append(part)
            return
        if self.keep_alive:  # until now
            self.keep_alive = False
            self._body.clear()
            self._connection.loop.call_later(READ_AWAY_S, self.complete)
        if self._size > READ_AWAY_TIMES * self._connection.application.max_body_bytes:
            self.complete()

    @property
    def more_body(self) -> bool:
        """Parts are missing."""
        return not self._whole

    def complete(self) -> None:
        """The request is whole, or as much of it as will be read."""
        if not self._whole:
            self._whole = True
            self._begin()

    def take_turn(self) -> None:
        """All requests before it on its connection are answered."""
        self._due = True
        self._begin()

    def _begin(self) -> None:
        if self._whole and self._due and not self.disconnected:
            self._connection.application.start(self)

    def set(self) -> None:
        """The library's word that the connection is lost, its `disconnected` being set."""
        if self.disconnected and self.on_lost is not None:
            on_lost, self.on_lost = self.on_lost, None
            on_lost()


class Connection(HttpToolsProtocol):
    """One HTTP connection."""

    cycle: Any
    """The newest request of which the head is here."""
    _busy = False
    """Something came since the last answer."""
    _idle_at = 0.0
    _served: Any = None
    """The request whose turn it is, while others are in line."""
    _in_head = False
    _held = False
    """Nothing more is served before the peer has read its answers."""
    _parts_of: tuple[bool, Any] = (False, None)
    _parts = 0
    """Bytes after the first part of a head, or of what follows a head."""
    _owes: tuple[str, float] = ("", 0.0)
    _owes_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.application = cast("Application", self.app)
        self._idle_at = self.loop.time()
        self._look_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        served = self._served
        if served is not None and served is not self.cycle and not served.response_complete:
            served.disconnected = True
            served.message_event.set()
        super().connection_lost(exc)
        self._look_no_more()

    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        self._look_no_more()

    def data_received(self, data: bytes) -> None:
        more, self._busy = self._busy, True
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self._unsupported_upgrade_warning()
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        else:
            if more:
                self._bound(len(data))

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            self.logger.warning(msg)
            super().send_400_response(msg)
            self._look_soon()

    def _bound(self, size: int) -> None:
        """Another part of a request came: refuse it when all in all they are too large."""
        parts_of = (self._in_head, self.cycle)
        self._parts = self._parts + size if parts_of == self._parts_of else 0
        self._parts_of = parts_of
        if self._in_head:
            if self._parts > HEAD_BYTES:
                self._refuse(431)
        elif self._parts > max(BODY_BYTES, READ_AWAY_TIMES * self.application.max_body_bytes):
            self._refuse(413)

    def _refuse(self, status: int) -> None:
        """Answer the request that is not whole, if it is its turn and it has no answer; close."""
        cycle = self.cycle
        is_turn = cycle is None or cycle.response_complete
        if not self._in_head:
            is_turn = not is_turn and cycle.more_body and not getattr(cycle, "response_started", 0)
        if is_turn and not self.transport.is_closing():
            self.transport.write(_HEADS[status] + _CLOSE + b"content-length: 0\r\n\r\n")
        self.transport.close()
        self._look_soon()

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._in_head = False
        agent = self._starts()
        if agent is None:
            self._stand_in_line(self.cycle)
            url, headers, expects = self.url, self.headers, self.expect_100_continue
            super().on_message_begin()
            self.url, self.expect_100_continue = url, expects
            self.headers += headers
            before = self.cycle
            super().on_headers_complete()
            if before is None or before.response_complete:
                self._held = False
            return
        before = self.cycle
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        self.cycle = exchange = Exchange(self, agent, keep_alive=keep_alive)
        if self.expect_100_continue:
            self.transport.write(_CONTINUE)
        answered = before is None or before.response_complete
        if answered and not self.flow.write_paused:
            exchange.take_turn()
            return
        self._stand_in_line(before)
        self._held |= answered
        self.flow.pause_reading()
        self.pipeline.appendleft((cast("Any", exchange), self.app))

    def _stand_in_line(self, before: Any) -> None:
        """Close on a peer that asks on and on without waiting for an answer."""
        if not self.pipeline:
            self._served = before
        if len(self.pipeline) >= IN_LINE:
            self.transport.close()
            self._look_soon()
            raise _LineTooLong  # ends the parsing

    def _starts(self) -> str | None:
        """The agent that the request would start a session of, None for any other request."""
        if self.parser.get_method() != b"POST":
            return None
        path = self.url.partition(b"?")[0]
        if not path.startswith(b"/"):
            path = httptools.parse_url(path).path or b""
        if not (path.startswith(_PREFIX) and path.endswith(_SUFFIX)):
            return None
        if self.parser.should_upgrade() and self._should_upgrade():
            return None
        agent = path[len(_PREFIX) : -len(_SUFFIX)]
        return (unquote_to_bytes(agent) if b"%" in agent else agent).decode("utf-8", "replace")

    def on_body(self, body: bytes) -> None:
        if type(self.cycle) is not Exchange:
            super().on_body(body)
        elif not self.cycle.response_complete:
            self.cycle.add(body)

    def on_message_complete(self) -> None:
        if type(self.cycle) is Exchange:
            self.cycle.complete()
        else:
            super().on_message_complete()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if type(cycle) is Exchange:
            cycle.take_turn()
        else:
            super()._start_asgi_task(cycle, app)

    def answered(self, exchange: Exchange, answer: bytes) -> None:
        """Write the answer; then the next request of the connection has its turn."""
        self.transport.write(answer)
        if not exchange.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        flow = self.flow
        if self.pipeline or flow.write_paused or flow.read_paused or self.transport.is_closing():
            self._serve_next()
            return
        self._busy = False
        self._idle_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_at(self._idle_at + self.timeout_keep_alive)

    def _serve_next(self) -> None:
        """Serve who is next in line once the answers are read; read on when nobody is."""
        self._look_soon()
        if self.transport.is_closing():
            return
        self._held = self.flow.write_paused
        if self._held:
            self.flow.pause_reading()
            return
        following = self.pipeline.pop() if self.pipeline else None
        self._served = following[0] if following is not None else None
        if not self.pipeline:
            self.flow.resume_reading()
        if following is not None:
            self._start_asgi_task(*following)
        else:
            self._busy = False
            self._idle_at = self.loop.time()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_soon()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._held:
            self._serve_next()

    def _unset_keepalive_if_required(self) -> None:
        """The one timer goes on."""

    # A timer for each request would cost more than the rest of what is done here. One for the
    # connection looks every few seconds what the peer owes, and since when. A connection that is
    # being served has none.

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        at = self.loop.time()
        due_at = self._due_at(at)
        if due_at is None:
            return
        if due_at > at:
            self._look_at(min(due_at, at + self.timeout_keep_alive))
        elif self.transport.is_closing() or self.flow.write_paused:
            self.transport.abort()
        elif self._in_head or (self.cycle is not None and not self.cycle.response_complete):
            self._refuse(408)
        else:
            self.transport.close()
            self._look_soon()

    def _due_at(self, at: float) -> float | None:
        """When the peer must have done what is its turn; None: it is ours."""
        closing, unread = self.transport.is_closing(), self.flow.write_paused
        if closing or unread:
            owes = ("to read", float(self.transport.get_write_buffer_size()))
        elif not self._busy:
            first = self.cycle is None
            return self._idle_at + (
                self.application.request_timeout_s if first else self.timeout_keep_alive
            )
        elif self.flow.read_paused or self._is_serving():
            return None
        else:
            owes = ("the rest of a request", self._idle_at)
        if owes != self._owes:
            self._owes, self._owes_since = owes, at
        return self._owes_since + self.application.request_timeout_s

    def _is_serving(self) -> bool:
        cycle = self.cycle
        return cycle is not None and not (cycle.response_complete or cycle.more_body)

    def _look_soon(self) -> None:
        if self.timeout_keep_alive_task is None:
            self._look_at(self.loop.time() + self.timeout_keep_alive)

    def _look_at(self, at: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_at(at, self.timeout_keep_alive_handler)

    def _look_no_more(self) -> None:
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None


class _LineTooLong(Exception):
    """More than `IN_LINE` requests wait."""
