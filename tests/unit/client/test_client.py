"""The management client against a real socket."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.http_server import FakeHttpServer, Told
from paddock import AsyncClient
from paddock.client.transport import KEEP_ALIVE_S
from paddock.errors import (
    ApiError,
    AtCapacity,
    BadRequest,
    ConfigurationError,
    NotFound,
    RefusedAttempt,
    ServerFailed,
    Unauthorized,
    Unavailable,
    Unreachable,
)

STARTED = {"sessionId": "s-1", "agent": "echo", "token": "t", "textUrl": "ws://x/text"}
START = "POST /v1/public/echo/start"


@pytest.fixture(autouse=True)
def _no_context(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PADDOCK_API_KEY", "PADDOCK_BASE_URL", "PADDOCK_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PADDOCK_CONTEXTS", str(tmp_path / "contexts.json"))


@pytest.fixture
def server() -> Iterator[FakeHttpServer]:
    with FakeHttpServer() as fake:
        yield fake


async def test_a_start_carries_its_data_and_a_key_against_doubles(server: FakeHttpServer) -> None:
    """`data` is the body's `body`; every start can be repeated safely."""
    server.tell(START, Told(body=STARTED, headers={"Idempotent_Replayed": "true"}))
    async with AsyncClient("pk_1", server.url) as client:
        started = await client.start("echo", {"a": 1}, call={"direction": "outbound"})
    asked = server.asked[0]
    assert asked.body == {"body": {"a": 1}, "call": {"direction": "outbound"}}
    assert asked.headers["authorization"] == "Bearer pk_1"
    assert len(asked.headers["idempotency-key"]) >= 20
    assert (started.session_id, started.text_url, started.replayed) == ("s-1", "ws://x/text", True)


async def test_a_start_is_repeated_with_the_same_key(server: FakeHttpServer) -> None:
    """A 503 in between costs no second session."""
    server.tell(START, Told(503, {"reason": "recovering"}), Told(body=STARTED))
    async with AsyncClient("pk_1", server.url) as client:
        assert (await client.start("echo")).session_id == "s-1"
    keys = {asked.headers["idempotency-key"] for asked in server.asked}
    assert len(server.asked) == 2
    assert len(keys) == 1


async def test_a_given_idempotency_key_is_the_one_that_is_sent(server: FakeHttpServer) -> None:
    """A caller's own retries meet the same session."""
    server.tell(START, Told(body=STARTED))
    async with AsyncClient("pk_1", server.url) as client:
        await client.start("echo", idempotency_key="order-7")
    assert server.asked[0].headers["idempotency-key"] == "order-7"


async def test_attempts_are_bounded(server: FakeHttpServer) -> None:
    """The last refusal is raised."""
    server.refuse("GET /v1/agents", 503, "recovering")
    async with AsyncClient("sk_1", server.url, retries=2) as client:
        with pytest.raises(Unavailable):
            await client.agents.list()
    assert len(server.asked) == 3


async def test_a_long_retry_after_is_left_to_the_caller(server: FakeHttpServer) -> None:
    """Nobody wants a request that hangs for a minute."""
    server.refuse("GET /v1/agents", 503, "recovering", Retry_After="60")
    async with AsyncClient("sk_1", server.url) as client:
        with pytest.raises(Unavailable) as caught:
            await client.agents.list()
    assert caught.value.retry_after_s == 60
    assert len(server.asked) == 1


async def test_what_must_not_happen_twice_is_asked_once(server: FakeHttpServer) -> None:
    """Making a key is not repeatable."""
    server.refuse("POST /v1/keys", 503, "store_unavailable")
    async with AsyncClient("sk_1", server.url) as client:
        with pytest.raises(Unavailable):
            await client.keys.create("web")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest),
        (401, Unauthorized),
        (403, Unauthorized),
        (404, NotFound),
        (422, BadRequest),
        (429, AtCapacity),
        (504, Unavailable),
        (500, ServerFailed),
    ],
)
async def test_a_refusal_is_typed_by_who_must_act(
    server: FakeHttpServer, status: int, kind: type[ApiError]
) -> None:
    """Status, reason and message come from the answer."""
    server.refuse(START, status, "some_reason", Retry_After="3")
    async with AsyncClient("pk_1", server.url) as client:
        with pytest.raises(kind) as caught:
            await client.start("echo")
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert caught.value.reason == "some_reason"
    assert str(caught.value) == "It is some_reason"
    assert caught.value.retry_after_s == 3


async def test_refused_attempts_are_named(server: FakeHttpServer) -> None:
    """A start that no runner took says who was asked."""
    attempts = [{"runner": "r-1", "reason": "internal"}]
    server.tell(START, Told(504, {"message": "No", "reason": "x", "attempts": attempts}))
    async with AsyncClient("pk_1", server.url) as client:
        with pytest.raises(Unavailable) as caught:
            await client.start("echo")
    assert caught.value.attempts == (RefusedAttempt("r-1", "internal"),)


async def test_no_server_says_how_to_start_one() -> None:
    """The message holds the address and the commands."""
    async with AsyncClient("sk_1", "http://127.0.0.1:9", retries=0) as client:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9: start one with `paddock orch"):
            await client.agents.list()


async def test_something_else_at_the_address_is_told_apart(server: FakeHttpServer) -> None:
    """A page of HTML is no orchestrator's answer."""
    server.tell("GET /v1/agents", Told(body=b"<html>hello</html>"))
    async with AsyncClient("sk_1", server.url) as client:
        with pytest.raises(ServerFailed, match="is it an orchestrator"):
            await client.agents.list()


async def test_fields_of_a_newer_server_are_ignored(server: FakeHttpServer) -> None:
    """And those of an older one have defaults."""
    server.tell("GET /v1/agents", Told(body=[{"agent": "echo", "in_flight": 2, "new": {}}]))
    async with AsyncClient("sk_1", server.url) as client:
        (agent,) = await client.agents.list()
    assert (agent.agent, agent.in_flight, agent.queued) == ("echo", 2, 0)


async def test_names_cannot_leave_their_place_in_the_path(server: FakeHttpServer) -> None:
    """A slash in an id is part of the id."""
    async with AsyncClient("sk_1", server.url) as client:
        with pytest.raises(NotFound):
            await client.sessions.get("../keys")
    assert server.asked[0].path == "/v1/sessions/..%2Fkeys"


async def test_ending_a_session_sends_the_reason(server: FakeHttpServer) -> None:
    """`sessions.end(id)` is the out-of-band control."""
    record = {"session_id": "s-1", "agent": "echo", "state": "active"}
    server.tell("POST /v1/sessions/s-1/end", Told(body=record))
    async with AsyncClient("sk_1", server.url) as client:
        assert (await client.sessions.end("s-1", "spam")).state == "active"
    assert server.asked[0].body == {"reason": "spam"}


async def test_no_key_is_an_error_with_the_fix(server: FakeHttpServer) -> None:
    """Nothing is asked without one."""
    async with AsyncClient(base_url=server.url) as client:
        with pytest.raises(ConfigurationError, match="PADDOCK_API_KEY"):
            await client.agents.list()
    assert server.asked == []


async def test_events_are_followed_through_a_lost_connection(server: FakeHttpServer) -> None:
    """The second request asks for what comes after the last id; a repeated event is dropped."""

    def stream(*ids: int) -> Told:
        events = [
            f'id: {n}\ndata: {{"event_id":{n},"at":"","kind":"k","agent":"echo"}}\n\n' for n in ids
        ]
        return Told(body=("".join(events) + ": keep-alive\n\n").encode())

    server.tell("GET /v1/events", stream(5, 6), stream(6, 7))
    seen = []
    async with AsyncClient("sk_1", server.url) as client:
        async for event in client.events.follow(after=4):
            seen.append(event.event_id)
            if event.event_id == 7:
                break
    assert seen == [5, 6, 7]
    assert "after=4" in server.asked[0].path
    assert "after=6" in server.asked[1].path


async def test_a_connection_that_was_idle_for_long_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The orchestrator lets it go at 5 s: a request sent just then would fail for nothing."""
    assert KEEP_ALIVE_S < 5.0
    monkeypatch.setattr("paddock.client.transport.KEEP_ALIVE_S", 0.0)
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with AsyncClient("sk_x", f"http://127.0.0.1:{port}", retries=0) as client:
            assert [await client.agents.list() for _ in range(2)] == [(), ()]
    assert connections == 2
