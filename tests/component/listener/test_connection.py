"""HTTP as a peer sees it: cut, pipelined and kept alive, starts among other requests."""

import asyncio
import json

import pytest

from component.listener.conftest import GET, KEEP_ALIVE_S, Application, Client, post
from fakes.waiting import PATIENCE_S, eventually


async def test_a_start_that_comes_byte_by_byte_is_answered_once(client: Client) -> None:
    for byte in post(b'{"body": 1}'):
        client.writer.write(bytes([byte]))
        await asyncio.sleep(0)
    status, headers, body = await client.answer()
    assert (status, json.loads(body)) == (200, ["desk", 11])
    assert headers["content-type"] == "application/json"
    assert headers["x-one"] == "1"


async def test_pipelined_requests_of_both_kinds_are_answered_in_order(client: Client) -> None:
    client.writer.write(post(b"1") + GET + post(b"22", path=b"/v1/public/a/start?x=1") + GET)
    bodies = [(await client.answer())[2] for _ in range(4)]
    assert bodies == [b'["desk", 1]', b"/hello", b'["a", 2]', b"/hello"]


async def test_a_start_behind_one_that_waits_waits_too(
    served: tuple[Application, int], client: Client
) -> None:
    application = served[0]
    application.hold = True
    client.writer.write(post(b"1") + post(b"22") + GET)
    await eventually(lambda: application.held)
    await asyncio.sleep(0.05)
    assert len(application.held) == 1
    application.answer(application.held[0])
    await eventually(lambda: len(application.held) == 2)
    application.answer(application.held[1])
    bodies = [(await client.answer())[2] for _ in range(3)]
    assert bodies == [b'["desk", 1]', b'["desk", 2]', b"/hello"]


async def test_a_caller_who_goes_away_is_told_of_once(
    served: tuple[Application, int], client: Client
) -> None:
    application = served[0]
    application.hold = True
    client.writer.write(post())
    await eventually(lambda: application.held)
    client.writer.close()
    await eventually(lambda: application.lost)
    application.answer(application.held[0])
    assert application.lost == application.held


async def test_a_body_that_is_too_large_is_read_away_and_then_refused(client: Client) -> None:
    client.writer.write(post(b"x" * 5000) + GET)
    status, headers, body = await client.answer()
    assert (status, json.loads(body), headers["connection"]) == (200, ["desk", -1], "close")
    assert await client.reader.read() == b""


async def test_a_body_without_end_is_refused_before_its_end(client: Client) -> None:
    client.writer.write(post(more=b"", body=b"").replace(b"h: 0", b"h: 99999999") + b"x" * 20_000)
    assert json.loads((await client.answer())[2]) == ["desk", -1]


async def test_a_chunked_body_is_whole(client: Client) -> None:
    head = b"POST /v1/public/desk/start HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    client.writer.write(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert json.loads((await client.answer())[2]) == ["desk", 5]


async def test_who_expects_a_continue_gets_one(client: Client) -> None:
    request = post(b"abc", more=b"Expect: 100-continue\r\n")
    client.writer.write(request[:-3])
    assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.writer.write(b"abc")
    assert json.loads((await client.answer())[2]) == ["desk", 3]


async def test_http_1_0_and_connection_close_end_the_connection(client: Client) -> None:
    client.writer.write(post(more=b"Connection: close\r\n"))
    assert (await client.answer())[1]["connection"] == "close"
    assert await client.reader.read() == b""


async def test_an_idle_connection_is_closed_and_a_busy_one_is_not(client: Client) -> None:
    for _ in range(12):  # longer in all than the keep-alive time, never nearly idle as long
        client.writer.write(post())
        await client.answer()
        await asyncio.sleep(KEEP_ALIVE_S * 0.1)
    async with asyncio.timeout(PATIENCE_S):
        assert await client.reader.read() == b""


@pytest.mark.parametrize(
    ("request_line", "answered"),
    [
        (b"GET /v1/public/desk/start", b"/v1/public/desk/start"),
        (b"POST /v1/public/desk/other", b"/v1/public/desk/other"),
        (b"POST /start", b"/start"),
    ],
)
async def test_what_is_no_start_is_the_applications(
    client: Client, request_line: bytes, answered: bytes
) -> None:
    client.writer.write(request_line + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert (await client.answer())[2] == answered


async def test_names_are_unquoted(client: Client) -> None:
    client.writer.write(post(path=b"/v1/public/a%2Fb%20c/start"))
    assert json.loads((await client.answer())[2]) == ["a/b c", 2]
    client.writer.write(post(path=b"http://proxy.example/v1/public/desk/start"))
    assert json.loads((await client.answer())[2]) == ["desk", 2]
