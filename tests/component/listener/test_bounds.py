"""What a connection holds for a peer that means no good, and for how long."""

import asyncio
import contextlib

import pytest

from component.listener.conftest import GET, Application, Client, post
from fakes.waiting import PATIENCE_S, eventually
from paddock_orchestrator.listener.http import HEAD_BYTES, IN_LINE

PUT = b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
CHUNKED = b"POST /v1/public/desk/start HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
MIB = 1 << 20
LIMIT = 16 * MIB
"""More than the kernel keeps of what nobody reads."""


async def closed(client: Client, within_s: float = PATIENCE_S) -> bytes:
    """What still came before the connection was closed."""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(within_s):
            return await client.reader.read()
    return b""


async def pour(client: Client, data: bytes, limit: int) -> int:
    """Write `data` over and over until the peer closes or reads no more; how much it was."""
    poured = 0
    with contextlib.suppress(ConnectionError, TimeoutError):
        while poured < limit and not client.writer.is_closing():
            client.writer.write(data)
            async with asyncio.timeout(1):
                await client.writer.drain()
            await asyncio.sleep(0)
            poured += len(data)
    return poured


@pytest.mark.parametrize("other", [GET, post(b"22")], ids=["get", "start"])
async def test_nothing_is_served_while_answers_are_not_read_and_everything_when_they_are(
    served: tuple[Application, int], client: Client, other: bytes
) -> None:
    application = served[0]
    application.padding = MIB
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    client.writer.write((post(b"1") + other) * (IN_LINE // 2))
    await eventually(lambda: application.connection.flow.write_paused)
    await asyncio.sleep(0.2)
    assert application.begun < IN_LINE / 2
    assert application.connection.transport.get_write_buffer_size() < 2 * MIB

    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    bodies = [(await client.answer())[2].strip() for _ in range(IN_LINE)]
    second = b"/hello" if other is GET else b'["desk", 2]'
    assert bodies == [b'["desk", 1]', second] * (IN_LINE // 2)
    client.writer.write(post())
    assert (await client.answer())[0] == 200


@pytest.mark.parametrize("request_", [GET, post()], ids=["get", "start"])
async def test_who_asks_on_and_on_behind_a_start_that_waits_is_not_heard(
    served: tuple[Application, int], client: Client, request_: bytes
) -> None:
    application = served[0]
    application.hold = True
    client.writer.write(post())
    await eventually(lambda: application.held)
    client.writer.write(request_ * (IN_LINE - 1))
    await eventually(lambda: application.connection.pipeline)
    assert await pour(client, request_ * 1000, limit=4 * LIMIT) < 4 * LIMIT
    assert application.begun == 1


async def test_nothing_is_read_while_others_are_in_line(
    served: tuple[Application, int], client: Client
) -> None:
    application = served[0]
    application.hold = True
    client.writer.write(post(b"1") + post(b"22") + post(b"333"))
    await eventually(lambda: len(application.connection.pipeline) == 2)
    for left in (1, 0):
        application.answer(application.held[-1])
        assert len(application.held) == 3 - left
        assert application.connection.flow.read_paused is bool(left)
    application.answer(application.held[-1])
    assert [(await client.answer())[2] for _ in range(3)][2] == b'["desk", 3]'


@pytest.mark.parametrize("request_", [GET, post()], ids=["get", "start"])
async def test_a_line_that_is_too_long_is_closed(
    served: tuple[Application, int], client: Client, request_: bytes
) -> None:
    application = served[0]
    application.hold = True
    client.writer.write(post() + request_ * (IN_LINE + 1))
    assert await closed(client) == b""
    assert application.begun == 1
    await eventually(lambda: application.lost)


async def test_who_asks_on_and_on_and_reads_nothing_is_dropped(
    served: tuple[Application, int], client: Client
) -> None:
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    assert await pour(client, post() * 1000, limit=4 * LIMIT) < 4 * LIMIT
    state = served[0].server.server_state
    await eventually(lambda: not state.connections)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", b""),
        (b"\r\n\r\n", b""),
        (b"POST /v1/public/desk/start HT", b"HTTP/1.1 408 "),
        (post(b"{}")[:-1], b"HTTP/1.1 408 "),
        (CHUNKED + b"2\r\n{}\r\n", b"HTTP/1.1 408 "),
        (PUT + b"some", b"HTTP/1.1 408 "),
        (post() + post()[:-1], b"HTTP/1.1 200 "),
        (post() + GET[:-1], b"HTTP/1.1 200 "),
    ],
    ids=["nothing", "blank", "head", "body", "chunks", "other-body", "second-body", "second-head"],
)
async def test_a_peer_that_says_nothing_more_is_closed(
    client: Client, sent: bytes, said: bytes
) -> None:
    client.writer.write(sent)
    assert (await closed(client)).startswith(said)


async def test_a_request_that_trickles_in_is_closed_and_the_next_has_its_own_time(
    client: Client,
) -> None:
    for _ in range(3):  # longer in all than a request may take
        client.writer.write(post()[:-1])
        await asyncio.sleep(0.8)
        client.writer.write(post()[-1:])
        assert (await client.answer())[0] == 200
    trickling = asyncio.create_task(trickle(client))
    assert b"408" in await closed(client)
    trickling.cancel()


async def trickle(client: Client) -> None:
    for byte in post(b" " * 100):
        client.writer.write(bytes([byte]))
        await asyncio.sleep(0.1)


async def test_a_start_may_wait_for_longer_than_a_request_may_take(
    served: tuple[Application, int], client: Client
) -> None:
    application = served[0]
    application.hold = True
    client.writer.write(post())
    await eventually(lambda: application.held)
    await asyncio.sleep(2 * application.request_timeout_s + 1)
    application.answer(application.held[0])
    assert (await client.answer())[0] == 200
    application.hold = False
    client.writer.write(post())
    assert (await client.answer())[0] == 200
    assert await closed(client) == b""


@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"], ids=["kept", "closed"])
async def test_a_peer_that_never_reads_its_answer_is_dropped(
    served: tuple[Application, int], client: Client, more: bytes
) -> None:
    application = served[0]
    application.padding = 32 * MIB
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    client.writer.write(post(more=more))
    await eventually(lambda: application.begun)
    await eventually(lambda: not application.server.server_state.connections)


async def test_a_peer_that_reads_slowly_has_its_answer(
    served: tuple[Application, int], client: Client
) -> None:
    application = served[0]
    application.padding = LIMIT
    client.writer.write(post())
    began = asyncio.get_running_loop().time()
    answer = await client.reader.readuntil(b"]")
    while len(answer) < LIMIT:
        part = await client.reader.read(LIMIT)
        assert part
        answer += part
        await asyncio.sleep(0.06)
    assert asyncio.get_running_loop().time() - began > application.request_timeout_s


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (b"GET /", b"a" * 4096),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"a" * 4096),
        (b"POST /v1/public/desk/start HTTP/1.1\r\n", b"X: 1\r\n" * 1000),
    ],
    ids=["address", "header", "headers"],
)
async def test_a_head_without_end_is_refused(client: Client, begin: bytes, part: bytes) -> None:
    client.writer.write(begin)
    assert await pour(client, part, limit=LIMIT) < LIMIT
    await closed(client)


@pytest.mark.parametrize("part", [b"X: 1\r\n" * 1000, b"X: " + b"a" * 4096])
async def test_trailers_without_end_are_refused(client: Client, part: bytes) -> None:
    client.writer.write(CHUNKED + b"2\r\n{}\r\n0\r\n")
    assert await pour(client, part, limit=4 * LIMIT) < 4 * LIMIT
    await closed(client)


async def test_a_head_that_comes_in_two_is_refused_with_a_word(client: Client) -> None:
    client.writer.write(b"GET / HTTP/1.1\r\n")
    await asyncio.sleep(0.1)
    client.writer.write(b"X: " + b"a" * HEAD_BYTES + b"\r\n")
    await asyncio.sleep(0.1)
    client.writer.write(b"X: " + b"a" * HEAD_BYTES)
    assert (await closed(client)).startswith(b"HTTP/1.1 431 ")
