"""One call from its start to its end, and everything that may end it."""

import contextlib
import time
from pathlib import Path

import pytest

from component.conftest import StartRunner
from fakes.processes import Server
from fakes.waiting import eventually
from paddock.client.callers import Script, play
from paddock.client.client import AsyncClient
from paddock.client.text import AgentSay, TextChannel
from paddock.errors import SessionEnded


async def heard(channel: TextChannel) -> str:
    """The next words of the agent."""
    async for event in channel:
        if isinstance(event, AgentSay):
            return event.text
    raise AssertionError(f"the call ended: {channel.ended}")


async def rest(channel: TextChannel) -> None:
    async for _ in channel:
        pass


async def test_a_call_starts_talks_and_ends_when_the_caller_hangs_up(
    server: Server, run_agent: StartRunner
) -> None:
    await run_agent()
    started = await server.begin(name="Ada")
    async with TextChannel.connect(started["textUrl"], started["token"]) as channel:
        assert await heard(channel) == "hello"
        await channel.say("one")
        await channel.say("two")
        assert await heard(channel) == "heard one"
        assert await heard(channel) == "heard two"
        await channel.hangup()
        await rest(channel)
        assert channel.ended is not None
        assert (channel.ended.reason, channel.ended.detail) == ("completed", "hangup")
    assert await server.ended(started["sessionId"]) == ("completed", "hangup")
    row = await server.session(started["sessionId"])
    assert row["data"] == {"name": "Ada"}
    assert [e["kind"] for e in row["events"]] == [
        "session.started",
        "session.active",
        "session.ended",
    ]
    await server.idle()


async def test_the_agents_word_for_the_end_is_kept(server: Server, run_agent: StartRunner) -> None:
    await run_agent()
    started = await server.begin()
    async with TextChannel.connect(started["textUrl"], started["token"]) as channel:
        await channel.say("bye")
        await rest(channel)
    assert await server.ended(started["sessionId"]) == ("completed", "sold")
    await server.idle()


async def test_a_call_whose_last_line_stays_without_an_answer_has_failed(
    server: Server, run_agent: StartRunner
) -> None:
    """Its runner may be dead: that the caller hangs up before anybody tells makes it no success."""
    await run_agent()
    async with AsyncClient(server.keys["private"], server.url) as client:
        for mute, within_s, ending in (
            (False, 15.0, ("completed", "completed")),
            (True, 0.5, ("failed", "the last line was not answered")),
        ):
            script = Script(("one", "two"), 2.0, within_s, data={"mute": mute})
            began = time.monotonic()
            outcome = await play(client, "desk", script)
            assert (outcome.kind, outcome.reason) == ending
            assert time.monotonic() - began >= 2.0


async def test_an_operator_ends_a_call(server: Server, run_agent: StartRunner) -> None:
    await run_agent()
    started = await server.begin()
    async with server.http() as http:
        path = f"/v1/sessions/{started['sessionId']}/end"
        answer = await http.post(path, json={"reason": "tidy"})
        assert answer.status_code == 200
        assert await server.ended(started["sessionId"]) == ("terminated", "tidy")
        again = await http.post(path)
        assert again.status_code == 200
    assert await server.ended(started["sessionId"]) == ("terminated", "tidy")


async def test_an_entrypoint_that_raises_is_entered_once_and_ends_in_error(
    server: Server, run_agent: StartRunner, tmp_path: Path
) -> None:
    await run_agent()
    entered = tmp_path / "entered"
    started = await server.begin(crash=True, entered=str(entered))
    reason, detail = await server.ended(started["sessionId"])
    assert reason == "error"
    assert "RuntimeError" in detail
    await server.idle()
    assert [started["sessionId"]] == entered.read_text().split()


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("entrypoint", "sys.exit(0)"),
        ("task", "sys.exit(0)"),
        ("bot", "sys.exit(0)"),
        ("turn", "sys.exit(0)"),
        ("interrupt", "KeyboardInterrupt"),
    ],
)
async def test_an_agent_that_exits_ends_its_own_call_in_error_and_no_other(
    server: Server, run_agent: StartRunner, where: str, said: str
) -> None:
    runner = await run_agent(slots=3)
    one, other = await server.begin(), await server.begin()
    started = await server.begin(exit=where)
    async with TextChannel.connect(started["textUrl"], started["token"]) as channel:
        with contextlib.suppress(SessionEnded):
            await channel.say("go on")
        await rest(channel)
    reason, detail = await server.ended(started["sessionId"])
    assert reason == "error"
    assert f"{said} would end every call of this runner" in detail
    assert "await session.end() instead" in runner.text()
    for call in (one, other):
        async with TextChannel.connect(call["textUrl"], call["token"]) as channel:
            assert await heard(channel) == "hello"
            await channel.say("still there?")
            assert await heard(channel) == "heard still there?"
    assert runner.exit_code is None


async def test_the_slot_of_a_call_is_taken_until_its_clean_up_is_over(
    server: Server, run_agent: StartRunner, tmp_path: Path
) -> None:
    await run_agent(slots=1)
    cleaned = tmp_path / "cleaned"
    started = await server.begin(until=str(cleaned))
    async with TextChannel.connect(started["textUrl"], started["token"]) as channel:
        await heard(channel)
        await channel.hangup()

        async def ending() -> bool:
            row = await server.session(started["sessionId"])
            return bool(row["state"] == "ending")

        await eventually(ending)
        async with server.http("public") as http:
            refused = await http.post("/v1/public/desk/start")
        assert refused.status_code == 429
        cleaned.touch()
    await server.ended(started["sessionId"])
    await server.begin()


async def test_a_killed_runner_loses_its_calls_and_only_its(
    server: Server, run_agent: StartRunner
) -> None:
    first = await run_agent("r1", slots=1)
    await run_agent("r2", slots=1)
    calls = [await server.begin(), await server.begin()]
    holders = {(await server.session(c["sessionId"]))["runner"]: c for c in calls}
    assert {"r1", "r2"} == set(holders)
    first.kill()
    await run_agent("r1", slots=1)
    assert await server.ended(holders["r1"]["sessionId"]) == ("runner_lost", "runner_restarted")
    kept = holders["r2"]
    async with TextChannel.connect(kept["textUrl"], kept["token"]) as channel:
        await channel.say("still there?")
        assert await heard(channel) == "hello"
        assert await heard(channel) == "heard still there?"
