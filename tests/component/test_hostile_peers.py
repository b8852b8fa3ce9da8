"""Whatever comes over its sockets, the orchestrator goes on serving everybody else."""

import asyncio
import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from component.conftest import StartRunner
from component.test_calls import heard
from fakes.processes import Server
from fakes.waiting import PATIENCE_S, eventually
from paddock.client.text import TextChannel

FUZZ_S = float(os.environ.get("PADDOCK_FUZZ_S", "5"))
LEAST_ATTACKS = 60
REGISTER = {
    "type": "register",
    "worker_id": "fuzz",
    "pool": "fuzz",
    "capabilities": {"max_concurrent": 1, "agent_id": "fuzz"},
}


def workers(server: Server, key: str = "runner") -> connect:
    return connect(
        f"ws://127.0.0.1:{server.port}/v1/internal/workers",
        additional_headers={"Authorization": f"Bearer {server.keys.get(key, key)}"},
        proxy=None,
    )


async def closed(socket: ClientConnection) -> int:
    """The code that the orchestrator closes with."""
    async with asyncio.timeout(PATIENCE_S):
        await socket.wait_closed()
    return socket.close_code or 0


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ("nonsense", "one JSON object"),
        ("[]", "one JSON object"),
        ('{"type":"heartbeat","active_jobs":1}', "register, first"),
        ('{"type":"register","worker_id":1}', "worker_id: got 1, expected a string"),
        (json.dumps({**REGISTER, "pool": "other"}), "pool: got 'other'"),
        (json.dumps({**REGISTER, "pool": "f" * 64}), "expected a DNS label"),
        (json.dumps({**REGISTER, "worker_id": "f" * 254}), "expected at most 253"),
    ],
)
async def test_a_runner_that_breaks_the_protocol_is_told_how(
    server: Server, frame: str, said: str
) -> None:
    async with workers(server) as socket:
        await socket.send(frame)
        assert await closed(socket) == 4008
        assert said in (socket.close_reason or "")


@pytest.mark.parametrize("key", ["rk_unknown", "public"])
async def test_a_runner_with_a_bad_key_is_closed_after_the_upgrade(
    server: Server, key: str
) -> None:
    async with workers(server, key) as socket:
        assert await closed(socket) == 4001


async def test_a_frame_that_is_too_long_closes_its_socket(server: Server) -> None:
    async with workers(server) as socket:
        with contextlib.suppress(ConnectionClosed):  # it may be cut off before its end
            await socket.send("x" * ((1 << 20) + 1))
        assert await closed(socket) in (1009, 1006)


@pytest.mark.parametrize("path", ["/v1/bridge/none?token=x", "/v1/sessions/none/text?token=x"])
async def test_a_bad_token_is_closed_as_such(server: Server, path: str) -> None:
    async with connect(f"ws://127.0.0.1:{server.port}{path}", proxy=None) as socket:
        assert await closed(socket) == 4003


async def test_a_caller_that_breaks_the_protocol_is_told_and_its_call_goes_on(
    server: Server, run_agent: StartRunner
) -> None:
    await run_agent()
    started = await server.begin()
    url = f"{started['textUrl']}?token={started['token']}"
    async with connect(url, proxy=None) as socket:
        await socket.send('{"event":"user.text","text":7}')
        assert await closed(socket) == 4008
        assert "text: got 7, expected a string" in (socket.close_reason or "")
    async with TextChannel.connect(started["textUrl"], started["token"]) as channel:
        assert await heard(channel) == "hello"


async def test_a_caller_that_does_not_read_is_cut_off_and_its_call_goes_on(
    server: Server, run_agent: StartRunner
) -> None:
    await run_agent()
    started = await server.begin()
    url = f"{started['textUrl']}?token={started['token']}"
    text = json.dumps({"event": "user.text", "text": "x" * 100_000})
    async with connect(url, proxy=None, max_queue=1, close_timeout=0.1) as slow:
        slow.transport.pause_reading()
        before = server.resident_kib()

        async def flood() -> None:
            for _ in range(400):
                await slow.send(text)

        with contextlib.suppress(ConnectionClosed, TimeoutError):
            await asyncio.wait_for(flood(), 3)
        assert server.resident_kib() - before < 100_000
    other = await server.begin()
    async with TextChannel.connect(other["textUrl"], other["token"]) as channel:
        assert await heard(channel) == "hello"


@pytest.mark.parametrize("length", [1, 60_000])
async def test_a_caller_that_is_ahead_of_its_agent_is_closed_and_its_call_goes_on(
    server: Server, run_agent: StartRunner, length: int
) -> None:
    runner = await run_agent()
    started = await server.begin()
    url = f"{started['textUrl']}?token={started['token']}"
    runner.signal(signal.SIGSTOP)
    before = server.resident_kib()
    async with connect(url, proxy=None) as socket:
        with contextlib.suppress(ConnectionClosed):
            for seq in range(1, 1001):
                frame = {"event": "user.text", "text": "x" * length, "seq": seq}
                await socket.send(json.dumps(frame))
        assert await closed(socket) == 1013
    assert server.resident_kib() - before < 10_000
    runner.signal(signal.SIGCONT)
    async with TextChannel.connect(started["textUrl"], started["token"]) as channel:
        assert await heard(channel) == "hello"
    assert await server.ended(started["sessionId"]) == ("completed", "hangup")


async def test_what_a_caller_says_to_an_agent_that_is_slow_arrives_once_and_in_order(
    server: Server, run_agent: StartRunner
) -> None:
    """Its answers are short: of an agent, too, only so much is kept for a caller who is away."""
    runner = await run_agent()
    started = await server.begin(brief=True)
    said = [f"{number} {'x' * 3000}" for number in range(200)]
    async with TextChannel.connect(started["textUrl"], started["token"]) as channel:
        assert await heard(channel) == "hello"
        runner.signal(signal.SIGSTOP)
        for text in said:
            await channel.say(text)
        listening = asyncio.create_task(heard(channel))  # which dials again and again
        await eventually(lambda: server.text().count("caller_ahead") > 1)
        runner.signal(signal.SIGCONT)
        answers = [await listening, *[await heard(channel) for _ in said[1:]]]
    assert answers == [f"heard {number}" for number in range(200)]


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (b"", b"POST /v1/public/a/start HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"),
        (b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
        (b"GET / HTTP/1.1\r\n", b"X: 12345678\r\n"),
        (b"POST /v1/keys HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", b" "),
    ],
    ids=["starts", "requests", "headers", "body"],
)
async def test_without_a_key_nobody_fills_the_memory(
    server: Server, begin: bytes, part: bytes
) -> None:
    before = server.resident_kib()
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(begin)
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(3):
            for _ in range(2000):
                writer.write(part * (65536 // len(part)))
                await writer.drain()
    assert server.resident_kib() - before < 20_000
    writer.transport.abort()


async def test_under_random_frames_the_process_stays_healthy_and_its_memory_flat(
    server: Server, run_agent: StartRunner
) -> None:
    await run_agent()
    chance = random.Random(os.environ.get("PADDOCK_SEED", "paddock"))
    started = await server.begin()
    call = f"{started['textUrl']}?token={started['token']}"
    seeds = [
        json.dumps(REGISTER), '{"type":"heartbeat","active_jobs":1}',
        '{"type":"job.ack","job_id":"a.1","accepted":true}',
        '{"type":"session.event","seq":1,"session_id":"a","attempt":1,"kind":"ended","at_ms":1}',
        '{"event":"user.text","text":"hi","seq":3}', '{"event":"ack","seq":99999999999}',
        '{"event":"user.interrupted"}', '{"event":"hello"}',
    ]  # fmt: skip

    def mangled() -> str | bytes:
        text = bytearray(chance.choice(seeds).encode())
        for _ in range(chance.randint(0, 3)):
            text[chance.randrange(len(text))] = chance.randrange(256)
        return bytes(text) if chance.random() < 0.3 else text.decode("utf-8", "replace")

    async def attack(dial: Callable[[], Awaitable[ClientConnection]], first: str) -> None:
        socket = await dial()
        try:
            if first:
                await socket.send(first)
            for _ in range(chance.randint(1, 20)):
                await socket.send(mangled())
        except (ConnectionClosed, ConnectionError):
            pass
        finally:
            if chance.random() < 0.5:
                socket.transport.abort()
            await socket.close()

    async def dial_call() -> ClientConnection:
        return await connect(call, proxy=None)

    async def dial_workers() -> ClientConnection:
        return await workers(server)

    async def storm(seconds: float) -> None:
        until, count = time.monotonic() + seconds, 0
        while time.monotonic() < until or count < LEAST_ATTACKS:
            await asyncio.gather(
                attack(dial_workers, json.dumps(REGISTER)), attack(dial_workers, ""),
                attack(dial_call, ""), return_exceptions=True,
            )  # fmt: skip
            count += 3

    await storm(FUZZ_S / 2)
    before = server.resident_kib()
    await storm(FUZZ_S / 2)
    assert server.resident_kib() - before < 8_000
    assert server.exit_code is None
    assert "Traceback" not in server.text()
    fresh = await server.begin()
    async with TextChannel.connect(fresh["textUrl"], fresh["token"]) as channel:
        assert await heard(channel) == "hello"

    async def ready() -> bool:
        async with server.http() as http:
            return (await http.get("/readyz")).status_code == 200

    await eventually(ready)
