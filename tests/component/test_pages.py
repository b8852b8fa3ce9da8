"""Probes and scrapes over a real socket, by peers that behave and peers that do not."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from websockets.datastructures import Headers

from paddock import exposition, pages
from paddock.pages import Answer, metrics_page, serve_pages
from paddock_operator.backends.kubernetes.probes import health_page
from paddock_operator.observe.health import Health
from paddock_operator.observe.metrics import Metrics


async def _break(_: Headers) -> Answer:
    raise RuntimeError("a page that breaks")


@pytest.fixture
async def port() -> AsyncIterator[int]:
    metrics = Metrics(lambda: 0.0)
    shown = {
        "/healthz": health_page(Health),
        "/readyz": health_page(lambda: Health(("the first lists are not complete",))),
        "/metrics": metrics_page(metrics.take),
        "/broken": _break,
    }
    async with serve_pages(shown, "127.0.0.1", 0) as bound:
        yield bound


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/healthz", 200, "ok"),
        ("/healthz?verbose", 200, "ok"),
        ("/readyz", 503, "the first lists are not complete"),
        ("/metrics", 200, "paddock_operator_leader"),
        ("/broken", 500, "Internal Server Error"),
        ("/elsewhere", 404, "Not Found"),
    ],
)
async def test_a_page_is_answered(port: int, path: str, status: int, text: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{port}{path}")
        assert (answer.status_code, text in answer.text) == (status, True)
        head = await client.head(f"http://127.0.0.1:{port}{path}")
        assert (head.status_code, head.text) == (status, "")
        posted = await client.post(f"http://127.0.0.1:{port}{path}")
        assert posted.status_code == 405


async def test_a_page_that_is_not_written_in_time_is_a_503(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposition, "LIMIT_S", 0.0)
    assert b" 503 " in await _say(port, b"GET /metrics HTTP/1.1\r\n\r\n")


async def test_a_scraper_that_accepts_it_is_sent_gzip(port: int) -> None:
    sizes = []
    for accepted, encoding in (("gzip", "gzip"), ("identity", None)):
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(
                f"http://127.0.0.1:{port}/metrics", headers={"Accept-Encoding": accepted}
            )
        assert answer.headers.get("Content-Encoding") == encoding
        assert "paddock_operator_leader" in answer.text
        sizes.append(int(answer.headers["Content-Length"]))
    assert sizes[0] < sizes[1] / 2


async def _say(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        await writer.drain()
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_what_is_no_request_is_hung_up_on(port: int) -> None:
    assert await _say(port, b"hello\r\n\r\n") == b""
    assert await _say(port, b"GET /healthz SMTP\r\n\r\n") == b""


async def test_endless_headers_are_refused(port: int) -> None:
    answer = await _say(port, b"GET /healthz HTTP/1.1\r\n" + b"x: y\r\n" * 5000)
    assert answer == b"" or b" 431 " in answer


async def test_a_silent_peer_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "TIMEOUT_S", 0.05)
    async with serve_pages({"/healthz": health_page(Health)}, "127.0.0.1", 0) as port:
        assert await _say(port, b"GET /healthz HTTP/1.1\r\n") == b""


async def test_a_port_that_is_taken_is_the_callers_to_tell(port: int) -> None:
    with pytest.raises(OSError, match="in use"):
        async with serve_pages({}, "127.0.0.1", port):
            pass
