"""WebSockets as a peer sees them: however frames are cut and mixed, texts arrive once, in order."""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
import websockets

from fakes.waiting import PATIENCE_S, eventually
from paddock_orchestrator.listener.websocket import WIRE, Wire

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Application:
    """Collects what it hears."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.wire: Wire | None = None
        self.over: dict[str, Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        self.wire = scope["extensions"][WIRE]
        self.wire.listen(self.heard.append)
        await send({"type": "websocket.accept"})
        self.over = await receive()


def frame(payload: bytes, *, first: int = 0x81, mask: bytes = b"\1\2\3\4") -> bytes:
    """A masked client frame."""
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((first, 0x80 | 126)) + struct.pack("!H", size)
    else:
        head = bytes((first, 0x80 | 127)) + struct.pack("!Q", size)
    return head + mask + bytes(b ^ mask[n % 4] for n, b in enumerate(payload))


@pytest.fixture
async def served() -> AsyncIterator[tuple[Application, int]]:
    application = Application()
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application, ws=Wire, lifespan="off", log_config=None, ws_max_size=200_000,
        ws_per_message_deflate=False, proxy_headers=False, access_log=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve([listener]))
    await eventually(lambda: server.started)
    yield application, listener.getsockname()[1]
    server.should_exit = True
    await task


@pytest.fixture
async def raw(
    served: tuple[Application, int],
) -> AsyncIterator[tuple[Application, asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", served[1])
    writer.write(HANDSHAKE)
    await reader.readuntil(b"\r\n\r\n")
    yield served[0], reader, writer
    writer.close()


Raw = tuple[Application, asyncio.StreamReader, asyncio.StreamWriter]


@pytest.mark.parametrize("seed", range(5))
async def test_texts_arrive_once_and_in_order_however_they_are_cut(raw: Raw, seed: int) -> None:
    application, _, writer = raw
    chance = random.Random(seed)
    texts = [
        bytes([65 + n % 26]) * chance.choice([0, 1, 5, 125, 126, 300, 70_000]) for n in range(40)
    ]
    stream = b""
    for text in texts:
        match chance.randrange(4):
            case 0:  # in fragments, a ping between them
                half = len(text) // 2
                stream += frame(text[:half], first=0x01) + frame(b"?", first=0x89)
                stream += frame(text[half:], first=0x80)
            case 1:
                stream += frame(b"", first=0x8A) + frame(text)
            case _:
                stream += frame(text)
    at = 0
    while at < len(stream):
        size = chance.choice([1, 2, 3, 7, 100, 5000, 100_000])
        writer.write(stream[at : at + size])
        await asyncio.sleep(0)
        at += size
    await eventually(lambda: len(application.heard) == len(texts))
    assert application.heard == texts


async def test_what_is_written_in_one_turn_arrives_in_order(
    served: tuple[Application, int],
) -> None:
    application, port = served
    async with websockets.connect(f"ws://127.0.0.1:{port}/") as peer:
        await eventually(lambda: application.wire is not None)
        texts = ["a", "b" * 125, "c" * 126, "d" * 65_536, "é"]
        assert application.wire is not None
        for text in texts:
            assert application.wire.write_text(text)
        assert [await peer.recv() for _ in texts] == texts


async def test_what_was_written_goes_before_the_closing(served: tuple[Application, int]) -> None:
    application, port = served
    async with websockets.connect(f"ws://127.0.0.1:{port}/") as peer:
        await eventually(lambda: application.wire is not None)
        assert application.wire is not None
        application.wire.write_text("last words")
        await application.wire.send({"type": "websocket.close", "code": 4010, "reason": "go"})
        assert await peer.recv() == "last words"
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await peer.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4010, "go")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x81\x03abc", 1002),  # not masked
        (frame(b"x", first=0xC1), 1002),  # a bit that is reserved
        (frame(b"\xff\xfe", first=0x01) + frame(b"", first=0x80), None),
        (bytes((0x81, 0xFF)) + struct.pack("!Q", 1 << 40) + b"\1\2\3\4", 1009),
        (frame(b"x", first=0x83), 1002),  # no such opcode
    ],
)
async def test_what_breaks_the_rules_ends_the_connection_or_harms_nobody(
    raw: Raw, sent: bytes, code: int | None
) -> None:
    application, reader, writer = raw
    writer.write(frame(b"before") + sent)
    await eventually(lambda: application.heard[:1] == [b"before"])
    if code is None:
        writer.write(frame(b"after"))
        await eventually(lambda: application.heard[-1:] == [b"after"])
    else:
        head = await asyncio.wait_for(reader.readexactly(4), PATIENCE_S)
        assert (head[0], int.from_bytes(head[2:4], "big")) == (0x88, code)


async def test_a_peer_that_does_not_read_is_noticed(served: tuple[Application, int]) -> None:
    application, port = served
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(HANDSHAKE)
    await reader.readuntil(b"\r\n\r\n")
    await eventually(lambda: application.wire is not None)
    wire = application.wire
    assert wire is not None
    for _ in range(3000):
        if not wire.write_text("x" * 10_000):
            break
        await asyncio.sleep(0)
    else:
        pytest.fail("30 MB were taken for a peer that reads nothing")
    writer.close()


async def test_the_end_of_the_connection_is_received(raw: Raw) -> None:
    application, _, writer = raw
    writer.write(frame(struct.pack("!H", 1000), first=0x88))
    await eventually(lambda: application.over)
    assert application.over["type"] == "websocket.disconnect"


async def test_pings_of_a_peer_that_does_not_read_are_not_answered_for_ever(raw: Raw) -> None:
    application, _, writer = raw
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    pings = frame(b"p" * 125, first=0x89) * 500
    await eventually(lambda: application.wire)
    assert application.wire is not None
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(1.5):
            for _ in range(400):
                writer.write(pings)
                await writer.drain()
                assert application.wire.transport.get_write_buffer_size() < 200_000


async def test_a_peer_that_reads_nothing_is_gone_when_it_answers_no_ping(raw: Raw) -> None:
    application, _, writer = raw
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await eventually(lambda: application.wire)
    wire = application.wire
    assert wire is not None
    await eventually(lambda: not wire.write_text("x" * 1_000_000))
    wire.stop_keepalive()
    wire.ping_interval = wire.ping_timeout = 0.2
    wire.start_keepalive()
    await eventually(lambda: application.over)
    assert application.over["type"] == "websocket.disconnect"


async def test_a_peer_that_does_not_read_its_closing_frame_is_dropped(
    served: tuple[Application, int], raw: Raw
) -> None:
    application, _, writer = raw
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await eventually(lambda: application.wire)
    wire = application.wire
    assert wire is not None
    wire.stop_keepalive()
    wire.close_timeout = 0.5

    def is_full() -> bool:
        full = wire.transport.get_write_buffer_size() > 0
        return full or not wire.write_text("x" * 60_000)

    await eventually(is_full)
    assert wire.writable.is_set()
    await wire.send({"type": "websocket.close", "code": 1000, "reason": ""})
    assert wire in wire.connections
    await eventually(lambda: wire not in wire.connections)


async def test_fragments_without_content_are_not_kept(raw: Raw) -> None:
    application, _, writer = raw
    writer.write(frame(b"a", first=0x01) + frame(b"", first=0x00) * 1000)
    await eventually(lambda: application.wire and application.wire.frames)
    writer.write(frame(b"b", first=0x00))
    await eventually(lambda: application.wire and len(application.wire.frames) > 1)
    assert application.wire is not None
    assert [bytes(f) for f in application.wire.frames] == [b"a", b"b"]
    writer.write(frame(b"", first=0x80))
    await eventually(lambda: application.heard)
    assert application.heard == [b"ab"]
