"""Pages for probes and scrapers, where no web framework is: a GET, its answer, and the end.

The server is that of `websockets`, which answers plain requests before they become a WebSocket.
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from paddock.exposition import CONTENT_TYPE, Page, Scrapes

log = logging.getLogger("paddock.pages")

TIMEOUT_S: Final = 5.0
"""From a peer's connection to the end of its answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a GET of a path is answered."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


Shown = Callable[[], Awaitable[Answer]]
"""A page. It must not block: it runs in the event loop."""


def metrics_page(take: Callable[[], Page]) -> Shown:
    """The page of a scraper: 503 where it cannot be written in time."""
    scrapes = Scrapes(take)

    async def page() -> Answer:
        try:
            return Answer(HTTPStatus.OK, await scrapes.answer(), CONTENT_TYPE)
        except TimeoutError:
            return _plain(HTTPStatus.SERVICE_UNAVAILABLE)

    return page


@contextlib.asynccontextmanager
async def serve_pages(
    pages: Mapping[str, Shown], host: str | None, port: int
) -> AsyncIterator[int]:
    """Serve `pages` by their paths; the port, which was chosen if `port` is 0.

    `host` None: every address of this machine. OSError when the port is taken.
    """

    async def answer(_: ServerConnection, request: Request) -> Response:
        # Releases that do not tell the method know none but GET.
        method = getattr(request, "method", "GET")
        if method not in ("GET", "HEAD"):
            return _http(_plain(HTTPStatus.METHOD_NOT_ALLOWED))
        return _http(await _page(pages, request.path.partition("?")[0]), head=method == "HEAD")

    quiet = log.getChild("http")
    quiet.setLevel(logging.CRITICAL)  # what peers do wrong is theirs
    async with serve(
        _never, host, port, process_request=answer, logger=quiet, server_header=None,
        open_timeout=TIMEOUT_S, close_timeout=TIMEOUT_S,
    ) as server:  # fmt: skip
        bound: int = next(iter(server.sockets)).getsockname()[1]
        yield bound


async def _page(pages: Mapping[str, Shown], path: str) -> Answer:
    if path not in pages:
        return _plain(HTTPStatus.NOT_FOUND)
    try:
        return await pages[path]()
    except Exception:
        log.exception("page_failed", extra={"path": path})
        return _plain(HTTPStatus.INTERNAL_SERVER_ERROR)


def _plain(status: HTTPStatus) -> Answer:
    return Answer(status, f"{status.phrase}\n".encode())


def _http(answer: Answer, *, head: bool = False) -> Response:
    headers = Headers()
    headers["Content-Type"] = answer.content_type
    headers["Content-Length"] = str(len(answer.body))
    headers["Connection"] = "close"
    body = b"" if head else answer.body
    return Response(answer.status.value, answer.status.phrase, headers, body)


async def _never(_: ServerConnection) -> None:
    """Every request was answered before it could become a WebSocket."""
