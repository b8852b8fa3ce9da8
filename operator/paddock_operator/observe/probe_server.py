"""A very small HTTP server for probes and scrapes: a GET, its answer, and the end."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from paddock.exposition import CONTENT_TYPE, Page, Scrapes
from paddock_operator.observe.health import Health

log = logging.getLogger("paddock.probes")

REQUEST_LIMIT: Final = 8192
"""Bytes of request line and headers."""
TIMEOUT_S: Final = 5.0
CONNECTIONS: Final = 64
"""Open at once; one more is closed without an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a GET of a path is answered."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


Shown = Callable[[], Awaitable[Answer]]


def health_page(judge: Callable[[], Health]) -> Shown:
    """The page of a probe: 200, or 503 with what is wrong."""

    async def page() -> Answer:
        health = judge()
        status = HTTPStatus.OK if health.ok else HTTPStatus.SERVICE_UNAVAILABLE
        return Answer(status, health.text.encode())

    return page


def metrics_page(take: Callable[[], Page]) -> Shown:
    """The page of a scraper."""
    scrapes = Scrapes(take)

    async def page() -> Answer:
        try:
            return Answer(HTTPStatus.OK, await scrapes.answer(), CONTENT_TYPE)
        except TimeoutError:
            return _plain(HTTPStatus.SERVICE_UNAVAILABLE)

    return page


class ProbeServer:
    """Serves `pages` until it is closed. A page must not block: it runs in the event loop."""

    def __init__(self, pages: Mapping[str, Shown]) -> None:
        self._pages = pages
        self._server: asyncio.Server | None = None
        self._open = 0

    async def start(self, host: str, port: int) -> int:
        """Listen; the port, which was chosen if `port` is 0. OSError when it is taken."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=REQUEST_LIMIT)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Take no more connections; those that are open end within `TIMEOUT_S`."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._server.wait_closed(), TIMEOUT_S)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= CONNECTIONS:
                async with asyncio.timeout(TIMEOUT_S):
                    writer.write(_http(*await self._answer(reader)))
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # The peer is slow or gone: nobody is left to be told.
        finally:
            self._open -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[Answer, bool]:
        """The answer, and whether its body is wanted."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE), True
        words = head.partition(b"\r\n")[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _plain(HTTPStatus.BAD_REQUEST), True
        if words[0] not in (b"GET", b"HEAD"):
            return _plain(HTTPStatus.METHOD_NOT_ALLOWED), True
        path = words[1].split(b"?", 1)[0].decode("ascii", "replace")
        page = self._pages.get(path)
        wanted = words[0] == b"GET"
        if page is None:
            return _plain(HTTPStatus.NOT_FOUND), wanted
        try:
            return await page(), wanted
        except Exception:
            log.exception("page_failed", extra={"path": path})
            return _plain(HTTPStatus.INTERNAL_SERVER_ERROR), wanted


def _plain(status: HTTPStatus) -> Answer:
    return Answer(status, f"{status.phrase}\n".encode())


def _http(answer: Answer, wanted: bool) -> bytes:
    head = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\n"
        f"Content-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + (answer.body if wanted else b"")
