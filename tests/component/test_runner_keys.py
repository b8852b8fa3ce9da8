"""A runner's key that is withdrawn: its sockets close for good, and its calls go on."""

import asyncio
import contextlib
import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from component.conftest import StartRunner
from component.test_calls import heard, rest
from component.test_hostile_peers import REGISTER, workers
from fakes.processes import Server
from fakes.waiting import eventually
from paddock.client.text import TextChannel

AT_ONCE_S = 20.0
"""A second, and what a busy machine adds; less than it takes to miss a runner: 25 s."""


async def make(server: Server, **limits: Any) -> dict[str, Any]:
    """A new runner key."""
    async with server.http() as http:
        answer = await http.post("/v1/keys", json={"name": "r", "scope": "runner", **limits})
    made: dict[str, Any] = answer.json()
    return made


async def refused(socket: ClientConnection) -> bool:
    """Whether the socket closes as one with a bad key, at once."""
    async with asyncio.timeout(AT_ONCE_S):
        await socket.wait_closed()
    return socket.close_code == 4001


@pytest.mark.parametrize(("method", "path"), [("DELETE", ""), ("POST", "/roll")])
async def test_a_withdrawn_key_closes_the_sockets_it_opened_and_no_other(
    server: Server, method: str, path: str
) -> None:
    """Those that have registered and those that have not."""
    key = await make(server)
    async with (
        workers(server, key["key"]) as registered,
        workers(server, key["key"]) as fresh,
        workers(server) as other,
        server.http() as http,
    ):
        await registered.send(json.dumps(REGISTER))
        await registered.recv()
        await http.request(method, f"/v1/keys/{key['key_id']}{path}")
        assert await refused(registered)
        assert await refused(fresh)
        await other.send(json.dumps(REGISTER))
        assert json.loads(await other.recv())["type"] == "registered"


async def test_an_expired_key_closes_its_sockets(server: Server) -> None:
    key = await make(server, expires_in_s=3.0)
    async with workers(server, key["key"]) as socket:
        with contextlib.suppress(ConnectionClosed):  # on a busy machine it is over before that
            await socket.send(json.dumps(REGISTER))
            await socket.recv()
        assert await refused(socket)


async def test_calls_go_on_without_the_key_and_the_runner_leaves_after_them(
    server: Server, run_agent: StartRunner
) -> None:
    key = await make(server)
    runner = await run_agent(PADDOCK_API_KEY=key["key"])
    started = await server.begin()
    async with TextChannel.connect(started["textUrl"], started["token"]) as channel:
        assert await heard(channel) == "hello"
        async with server.http() as http:
            await http.delete(f"/v1/keys/{key['key_id']}")

        async def away() -> bool:
            return not await runner.connected()

        await eventually(away, within_s=AT_ONCE_S)
        async with server.http("public") as http:
            assert (await http.post("/v1/public/desk/start")).json()["reason"] == "no_runners"
        await channel.say("one")
        assert await heard(channel) == "heard one"
        assert runner.exit_code is None
        assert (await server.session(started["sessionId"]))["state"] == "active"
        await channel.hangup()
        await rest(channel)
    assert await server.ended(started["sessionId"]) == ("completed", "hangup")
    assert await runner.exited() == 1
    assert "the key was revoked or expired" in runner.text()


async def test_a_refused_runner_that_is_signalled_ends_its_calls_at_the_deadline(
    server: Server, run_agent: StartRunner
) -> None:
    key = await make(server)
    runner = await run_agent(PADDOCK_API_KEY=key["key"], PADDOCK_DRAIN_TIMEOUT_S="0.5")
    started = await server.begin()
    async with TextChannel.connect(started["textUrl"], started["token"]) as channel:
        assert await heard(channel) == "hello"
        async with server.http() as http:
            await http.delete(f"/v1/keys/{key['key_id']}")

        async def away() -> bool:
            return not await runner.connected()

        await eventually(away)
        runner.terminate()
        assert await runner.exited() == 1
