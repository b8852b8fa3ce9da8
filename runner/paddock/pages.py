"""Pages for probes and scrapers, where no web framework is: a GET, its answer, and the end.

The server is that of `websockets`, which answers plain requests before they become a WebSocket.
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from paddock.exposition import Page, Scrapes

log = logging.getLogger("paddock.pages")

TIMEOUT_S: Final = 5.0
"""From a peer's connection to the end of its answer."""
_PLAIN: Final = {"Content-Type": "text/plain; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a GET of a path is answered."""

    status: HTTPStatus
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: dict(_PLAIN))
    """What the body is."""


Shown = Callable[[Headers], Awaitable[Answer]]
"""A page, given the headers of its request. It must not block: it runs in the event loop."""


def metrics_page(take: Callable[[], Page]) -> Shown:
    """The page of a scraper: 503 where it cannot be written in time."""
    scrapes = Scrapes(take)

    async def page(asked: Headers) -> Answer:
        accepted = ",".join(asked.get_all("Accept-Encoding"))
        try:
            scrape = await scrapes.answer(accepted)
        except TimeoutError:
            return _plain(HTTPStatus.SERVICE_UNAVAILABLE)
        return Answer(HTTPStatus.OK, scrape.body, scrape.headers)

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
        return _http(await _page(pages, request), head=method == "HEAD")

    quiet = log.getChild("http")
    quiet.setLevel(logging.CRITICAL)  # what peers do wrong is theirs
    async with serve(
        _never, host, port, process_request=answer, logger=quiet, server_header=None,
        open_timeout=TIMEOUT_S, close_timeout=TIMEOUT_S,
    ) as server:  # fmt: skip
        bound: int = next(iter(server.sockets)).getsockname()[1]
        yield bound


async def _page(pages: Mapping[str, Shown], request: Request) -> Answer:
    path = request.path.partition("?")[0]
    if path not in pages:
        return _plain(HTTPStatus.NOT_FOUND)
    try:
        return await pages[path](request.headers)
    except Exception:
        log.exception("page_failed", extra={"path": path})
        return _plain(HTTPStatus.INTERNAL_SERVER_ERROR)


def _plain(status: HTTPStatus) -> Answer:
    return Answer(status, f"{status.phrase}\n".encode())


def _http(answer: Answer, *, head: bool = False) -> Response:
    headers = Headers(answer.headers)
    headers["Content-Length"] = str(len(answer.body))
    headers["Connection"] = "close"
    body = b"" if head else answer.body
    return Response(answer.status.value, answer.status.phrase, headers, body)


async def _never(_: ServerConnection) -> None:
    """Every request was answered before it could become a WebSocket."""
