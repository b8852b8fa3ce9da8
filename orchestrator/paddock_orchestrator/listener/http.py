"""HTTP: the server library's protocol, with a short way for starts.

A start goes without scope, task, events and messages, which cost as much as everything that is done
with it: its request is collected in an `Exchange`, given to the application when it is whole, and
answered by one write. All other requests, and all that connections do, are the library's.
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

READ_AWAY_TIMES, READ_AWAY_S = 16, 2.0
"""How much of a body that is too large, in limits, and for how long, is read away before its
refusal: a client that is still sending would not see the answer."""


class Application(Protocol):
    """What an application that takes starts is besides an ASGI application."""

    max_body_bytes: int

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
    _busy = True
    """A request is under way."""
    _idle_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.application = cast("Application", self.app)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        agent = self._starts()
        if agent is None:
            url, headers, expects = self.url, self.headers, self.expect_100_continue
            super().on_message_begin()
            self.url, self.expect_100_continue = url, expects
            self.headers += headers
            super().on_headers_complete()
            return
        before = self.cycle
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        self.cycle = exchange = Exchange(self, agent, keep_alive=keep_alive)
        if self.expect_100_continue:
            self.transport.write(_CONTINUE)
        if before is None or before.response_complete:
            exchange.take_turn()
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cast("Any", exchange), self.app))

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

    # A connection is closed when it was idle for `timeout_keep_alive`. The library arms a timer
    # with each answer and disarms it with each request; here one looks how long it has been.

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._busy = False
        self._idle_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_at(self._idle_at + self.timeout_keep_alive)

    def _unset_keepalive_if_required(self) -> None:
        self._busy = True

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        if self._busy:
            return
        due_at = self._idle_at + self.timeout_keep_alive
        if due_at > self.loop.time():
            self._look_at(due_at)
        else:
            super().timeout_keep_alive_handler()

    def _look_at(self, at: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_at(at, self.timeout_keep_alive_handler)
