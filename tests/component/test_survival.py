"""Calls outlive the sockets and the orchestrator that carry them."""

import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from component.conftest import StartRunner
from component.test_calls import heard, rest
from fakes.processes import RunnerProcess, Server
from fakes.proxy import Proxy
from fakes.waiting import eventually
from paddock.client.text import TextChannel


async def test_calls_go_on_through_the_death_of_the_orchestrator(
    server: Server, run_agent: StartRunner
) -> None:
    runner = await run_agent()
    kept, over = await server.begin(), await server.begin()
    async with (
        TextChannel.connect(kept["textUrl"], kept["token"]) as channel,
        TextChannel.connect(over["textUrl"], over["token"]) as ending,
    ):
        assert await heard(channel) == "hello"
        assert await heard(ending) == "hello"
        await channel.say("later one")
        await ending.say("bye")
        await eventually(lambda: _has_ended(server, over["sessionId"]))
        server.kill()
        await channel.say("two")
        await server.start()
        assert await heard(channel) == "heard later one"
        assert await heard(channel) == "heard two"
        await eventually(runner.connected)
        await channel.say("three")
        assert await heard(channel) == "heard three"
        assert (await server.session(kept["sessionId"]))["state"] == "active"
        await channel.hangup()
        await rest(channel)
    assert await server.ended(kept["sessionId"]) == ("completed", "hangup")
    assert await server.ended(over["sessionId"]) == ("completed", "sold")
    await server.idle()


async def test_runners_and_calls_outlive_an_orchestrator_that_is_stopped_politely(
    server: Server, run_agent: StartRunner
) -> None:
    runner = await run_agent()
    started = await server.begin()
    async with TextChannel.connect(started["textUrl"], started["token"]) as channel:
        assert await heard(channel) == "hello"
        server.signal(signal.SIGTERM)
        assert await server.exited() == 0
        await server.start()
        await eventually(runner.connected)
        await channel.say("one")
        assert await heard(channel) == "heard one"


async def _has_ended(server: Server, session_id: str) -> bool:
    return bool((await server.session(session_id))["state"] == "ended")


async def test_what_ended_while_the_orchestrator_was_away_is_told_afterwards(
    server: Server, run_agent: StartRunner, tmp_path: Path
) -> None:
    runner = await run_agent()
    cleaned = tmp_path / "cleaned"
    started = await server.begin(until=str(cleaned))
    async with TextChannel.connect(started["textUrl"], started["token"]) as channel:
        assert await heard(channel) == "hello"
        await channel.say("bye")

        async def ending() -> bool:
            return bool((await server.session(started["sessionId"]))["state"] == "ending")

        await eventually(ending)
        server.kill()
        cleaned.touch()
        await eventually(lambda: not cleaned.exists(), what="the end of the call")
        await server.start()
        await eventually(runner.connected)
        assert await server.ended(started["sessionId"]) == ("completed", "sold")
    await server.idle()


@pytest.fixture
async def control(server: Server) -> AsyncIterator[Proxy]:
    async with Proxy(server.port) as proxy:
        yield proxy


async def test_a_call_goes_on_when_its_runners_control_socket_is_cut(
    server: Server, run_agent: StartRunner, control: Proxy
) -> None:
    runner = await run_agent(base_url=control.url)
    started = await server.begin()
    async with TextChannel.connect(started["textUrl"], started["token"]) as channel:
        assert await heard(channel) == "hello"
        control.open = False
        control.cut()
        await channel.say("one")
        assert await heard(channel) == "heard one"
        control.open = True
        await eventually(runner.connected)
        await channel.say("two")
        assert await heard(channel) == "heard two"
        assert (await server.session(started["sessionId"]))["state"] == "active"


async def test_a_half_open_control_socket_is_replaced_and_the_call_goes_on(
    server: Server, run_agent: StartRunner, control: Proxy
) -> None:
    await server.declare(max_slots=4, growable=False, queue={"timeout_s": 2.5})
    await run_agent(base_url=control.url)
    started = await server.begin()
    async with TextChannel.connect(started["textUrl"], started["token"]) as channel:
        assert await heard(channel) == "hello"
        control.hold()
        async with server.http("public") as http:
            answer = await http.post("/v1/public/desk/start")
        assert answer.status_code in (429, 503, 504)
        control.cut()
        control.release()

        async def taken() -> bool:
            async with server.http("public") as http:
                return (await http.post("/v1/public/desk/start")).status_code == 200

        await eventually(taken)
        await channel.say("one")
        assert await heard(channel) == "heard one"


async def test_a_call_goes_on_when_its_bridge_is_cut(tmp_path: Path) -> None:
    server = Server(tmp_path)
    async with Proxy(server.port) as proxy:
        server.options = ("--public-url", proxy.url)
        runner = RunnerProcess(server)
        try:
            await server.start()
            await runner.start()
            started = await server.begin()
            async with TextChannel.connect(started["textUrl"], started["token"]) as channel:
                assert await heard(channel) == "hello"
                for turn in range(5):
                    await channel.say(f"later {turn}")
                    proxy.cut()
                assert [f"heard later {n}" for n in range(5)] == [
                    await heard(channel) for _ in range(5)
                ]
                await channel.hangup()
                await rest(channel)
            assert await server.ended(started["sessionId"]) == ("completed", "hangup")
        finally:
            runner.kill()
            server.kill()


async def test_a_signalled_runner_takes_nothing_and_leaves_after_its_last_call(
    server: Server, run_agent: StartRunner
) -> None:
    runner = await run_agent()
    started = await server.begin()
    async with TextChannel.connect(started["textUrl"], started["token"]) as channel:
        assert await heard(channel) == "hello"
        runner.terminate()

        async def known_to_drain() -> bool:
            return bool((await server.get("/v1/agents/desk"))["draining"])

        await eventually(known_to_drain)
        async with server.http("public") as http:
            answer = await http.post("/v1/public/desk/start")
        assert (answer.status_code, answer.json()["reason"]) == (503, "draining")
        await channel.say("one")
        assert await heard(channel) == "heard one"
        assert runner.exit_code is None
        await channel.hangup()
        assert await runner.exited(within_s=20) == 0
    assert await server.ended(started["sessionId"]) == ("completed", "hangup")


async def test_an_idle_runner_leaves_at_once(server: Server, run_agent: StartRunner) -> None:
    """And not with its next heartbeat: the quickest of a few, as the machine may be busy."""
    took_s: list[float] = []
    while not took_s or (min(took_s) > 3 and len(took_s) < 4):
        runner = await run_agent()
        began = time.monotonic()
        runner.terminate()
        assert await runner.exited() == 0
        took_s.append(time.monotonic() - began)
    assert min(took_s) <= 3


async def test_a_second_signal_forces(server: Server, run_agent: StartRunner) -> None:
    runner = await run_agent()
    started = await server.begin(stubborn=100)
    async with TextChannel.connect(started["textUrl"], started["token"]) as channel:
        assert await heard(channel) == "hello"
        runner.terminate()
        await eventually(lambda: "stopping" in runner.text())
        runner.signal(signal.SIGINT)
        assert await runner.exited(within_s=20) == 1
        await rest(channel)
    reason, _ = await server.ended(started["sessionId"])
    assert reason in ("terminated", "runner_lost")


async def test_at_the_drain_deadline_what_is_left_is_ended_as_such(
    server: Server, run_agent: StartRunner
) -> None:
    runner = await run_agent(PADDOCK_DRAIN_TIMEOUT_S="0.5")
    started = await server.begin()
    async with TextChannel.connect(started["textUrl"], started["token"]) as channel:
        assert await heard(channel) == "hello"
        runner.terminate()
        await rest(channel)
        assert channel.ended is not None
        assert channel.ended.reason == "drain_timeout"
    assert await runner.exited() == 0
    reason, _ = await server.ended(started["sessionId"])
    assert reason == "drain_timeout"


async def test_a_relayed_drain_ends_what_is_left_at_its_deadline(
    server: Server, run_agent: StartRunner
) -> None:
    await run_agent()
    started = await server.begin()
    async with server.http() as http:
        drain = {"runner_id": "r1", "drain_epoch": 1, "mode": "drain", "deadline_in_s": 0.3}
        answer = await http.put("/v1/internal/drains", json={"drains": [drain]})
        assert answer.json() == {"told": [True], "refused": []}
    reason, _ = await server.ended(started["sessionId"])
    assert reason == "drain_timeout"

    async def reported() -> bool:
        (found,) = await server.get("/v1/runners")
        return bool(found["report"] == [1, "drain", 0])

    await eventually(reported)


LATE = {"runner_id": "r1", "drain_epoch": 1, "mode": "drain", "warn_before_s": 60}


async def _drain(server: Server, **command: float) -> None:
    async with server.http() as http:
        answer = await http.put("/v1/internal/drains", json={"drains": [LATE | command]})
    assert answer.json() == {"told": [True], "refused": []}


async def test_who_is_told_late_is_warned_at_once_of_what_is_really_left(
    server: Server, run_agent: StartRunner
) -> None:
    await run_agent()
    started = await server.begin()
    async with TextChannel.connect(started["textUrl"], started["token"]) as channel:
        assert await heard(channel) == "hello"
        await _drain(server, deadline_in_s=4)
        assert await heard(channel) == "warned 4 s before the end"
        await rest(channel)
        assert channel.ended is not None
        assert channel.ended.reason == "drain_timeout"


async def test_a_signal_warns_as_the_pool_does(server: Server, run_agent: StartRunner) -> None:
    runner = await run_agent(PADDOCK_DRAIN_TIMEOUT_S="5")
    started = await server.begin()
    async with TextChannel.connect(started["textUrl"], started["token"]) as channel:
        assert await heard(channel) == "hello"
        await _drain(server)
        await eventually(lambda: "draining" in runner.text())
        runner.terminate()
        assert await heard(channel) == "warned 5 s before the end"
        await channel.hangup()
        assert await runner.exited() == 0
