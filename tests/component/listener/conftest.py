"""A listener in this process, and a client that writes bytes."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from fakes.waiting import eventually
from paddock_orchestrator.listener.http import Connection, Exchange

KEEP_ALIVE_S = 3
GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"


def post(
    body: bytes = b"{}", *, path: bytes = b"/v1/public/desk/start", more: bytes = b""
) -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return b"POST %b HTTP/1.1\r\nHost: x\r\n%b%b\r\n%b" % (path, length, more, body)


class Application:
    """Answers a start with what it was sent, at once or when it is let go."""

    max_body_bytes = 1000
    request_timeout_s = 2.0

    def __init__(self) -> None:
        self.server: uvicorn.Server
        self.begun = 0
        self.padding = 0
        """Bytes by which each answer is longer."""
        self.hold = False
        self.held: list[Exchange] = []
        self.lost: list[Exchange] = []

    @property
    def connection(self) -> Connection:
        """The only one."""
        (connection,) = self.server.server_state.connections
        assert isinstance(connection, Connection)
        return connection

    def start(self, exchange: Exchange) -> None:
        self.begun += 1
        if self.hold:
            self.held.append(exchange)
            exchange.on_lost = lambda: self.lost.append(exchange)
        else:
            self.answer(exchange)

    def answer(self, exchange: Exchange) -> None:
        size = -1 if exchange.too_large else len(exchange.body)
        body = json.dumps([exchange.agent, size]).encode()
        exchange.answer(200, body + b" " * self.padding, ((b"x-one", b"1"),))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun += 1
        if scope["method"] == "PUT":
            while (await receive()).get("more_body"):
                pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        body = scope["path"].encode() + b" " * self.padding
        await send({"type": "http.response.body", "body": body})


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        status = int(head[0].split()[1])
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int((await self.reader.readuntil(b"\r\n")).strip(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readexactly(2)
            return status, headers, body
        return status, headers, await self.reader.readexactly(int(headers.get("content-length", 0)))


@pytest.fixture
async def served() -> AsyncIterator[tuple[Application, int]]:
    application = Application()
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application, http=Connection, ws="none", lifespan="off", log_config=None,
        timeout_keep_alive=KEEP_ALIVE_S, proxy_headers=False, access_log=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    application.server = server
    task = asyncio.create_task(server._serve([listener]))
    await eventually(lambda: server.started)
    yield application, listener.getsockname()[1]
    application.hold = False
    for exchange in application.held:
        application.answer(exchange)
    server.should_exit = True
    await task


@pytest.fixture
async def client(served: tuple[Application, int]) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", served[1])
    yield Client(reader, writer)
    writer.transport.abort()  # though the peer may not read
