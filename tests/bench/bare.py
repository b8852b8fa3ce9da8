"""The reference of the dispatch benchmarks: a dispatcher that does nothing but dispatch.

Raw ASGI under the very server and flags of `paddock_orchestrator.main` (uvicorn, uvloop, httptools,
websockets-sansio, no access log, no deflate, the same collector settings), the same frames on the
same sockets, the same shapes of answers. Counted on both sides: one HTTP request parsed, a runner
picked, one `job.assign` sent, one `job.ack` awaited, one answer sent, and the three
`session.event` frames and the heartbeats of the runner read and parsed.

Left out here, and what the ratio is about: key, rate limit, idempotency, queue, deadline, fencing,
tokens, durable rows, history, metrics, log, end of session, `events.ack`.

A session's `ended` event gives its slot back. Slots are a stack, as packed placement is in effect:
both dispatchers keep the same few runners busy, and so batch their frames alike.
"""

import argparse
import asyncio
import gc
import os
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
import uvicorn
import uvloop

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

TOKEN = "t" * 24  # of the length of ours


class Assign(msgspec.Struct, tag="job.assign", tag_field="type"):
    job_id: str
    call_id: str
    agent_id: str
    bridge_url: str
    call_token: str
    assign_id: str
    deadline_ms: int
    attempt: int


class Ack(msgspec.Struct, tag="job.ack", tag_field="type"):
    job_id: str
    accepted: bool


class Event(msgspec.Struct, tag="session.event", tag_field="type"):
    session_id: str
    kind: str


class Register(msgspec.Struct, tag="register", tag_field="type"):
    capabilities: dict[str, Any]


class Heartbeat(msgspec.Struct, tag="heartbeat", tag_field="type"):
    active_jobs: int


class Bye(msgspec.Struct, tag="bye", tag_field="type"):
    pass


class Body(msgspec.Struct):
    body: msgspec.Raw
    call: dict[str, Any]


_frame = msgspec.json.Decoder(Ack | Event | Register | Heartbeat | Bye).decode
_body = msgspec.json.Decoder(Body).decode
_encode = msgspec.json.Encoder().encode
_WELCOME = '{"type":"registered","heartbeat_interval_s":5,"transport_ack":"dial_out"}'


class Runner:
    """A connected runner; it gives its slots back as long as it is connected."""

    __slots__ = ("here", "send")

    def __init__(self, send: Send) -> None:
        self.send = send
        self.here = True


class Bare:
    """The ASGI application."""

    def __init__(self, port: int) -> None:
        self._url = f"ws://127.0.0.1:{port}"
        self._free: list[Runner] = []
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._busy: dict[str, Runner] = {}

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._start(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._runner(receive, send)

    async def _start(self, scope: Any, receive: Receive, send: Send) -> None:
        message = await receive()
        if scope["method"] == "GET":
            await self._answer(send, b"{}")
            return
        _body(message["body"])
        agent = scope["path"].split("/")[3]
        runner = self._pick()
        h = os.urandom(16).hex()
        session_id = f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"
        job_id = f"{session_id}.1"
        frame = Assign(
            job_id=job_id,
            call_id=session_id,
            agent_id=agent,
            bridge_url=f"{self._url}/v1/bridge/{session_id}",
            call_token=TOKEN,
            assign_id=job_id,
            deadline_ms=2000,
            attempt=1,
        )
        acked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[job_id] = acked
        self._busy[session_id] = runner
        await runner.send({"type": "websocket.send", "text": _encode(frame).decode()})
        await acked
        body = (
            f'{{"sessionId":"{session_id}","agent":"{agent}","token":"{TOKEN}",'
            f'"textUrl":"{self._url}/v1/sessions/{session_id}/text"}}'
        ).encode()
        await self._answer(send, body)

    @staticmethod
    async def _answer(send: Send, body: bytes) -> None:
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _pick(self) -> Runner:
        while not (runner := self._free.pop()).here:
            pass
        return runner

    async def _runner(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        runner = Runner(send)
        while (message := await receive())["type"] == "websocket.receive":
            frame = _frame(message["text"])
            if type(frame) is Ack:
                self._waiting.pop(frame.job_id).set_result(None)
            elif type(frame) is Event:
                if frame.kind == "ended":
                    self._free.append(self._busy.pop(frame.session_id))
            elif type(frame) is Register:
                self._free += [runner] * frame.capabilities["max_concurrent"]
                await send({"type": "websocket.send", "text": _WELCOME})
        runner.here = False


async def serve(port: int) -> None:
    """Serve as the orchestrator does, until the process is ended."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(1024)
    listener.setblocking(False)
    config = uvicorn.Config(
        Bare(port),
        http="httptools",
        ws="websockets-sansio",
        lifespan="off",
        access_log=False,
        log_config=None,
        ws_max_size=1 << 20,
        ws_ping_interval=10.0,
        ws_ping_timeout=15.0,
        ws_per_message_deflate=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )
    serving = asyncio.create_task(uvicorn.Server(config).serve(sockets=[listener]))
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    await serving


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(serve(parser.parse_args().port))
