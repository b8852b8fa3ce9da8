"""An unmodified v2 runner works, and is never sent what it does not know."""

from component.test_calls import rest
from component.test_starting import START, refusal
from fakes.processes import Server
from fakes.v2_runner import V2Runner
from fakes.waiting import eventually
from paddock.client.text import TextChannel
from paddock.protocol import bridge


async def events(channel: TextChannel, count: int) -> list[object]:
    found: list[object] = []
    async for event in channel:
        found.append(event)
        if len(found) == count:
            break
    return found


async def test_a_v2_runner_takes_a_call_from_its_start_to_its_end(server: Server) -> None:
    async with V2Runner(server.url, server.keys["runner"]) as runner:
        started = await server.begin(name="Ada")
        async with TextChannel.connect(started["textUrl"], started["token"]) as channel:
            assert [bridge.AgentSay(text="hello", seq=1)] == await events(channel, 1)
            await channel.say("par", final=False)
            await channel.say("partial no more")
            assert [getattr(e, "text", None) for e in await events(channel, 3)] == [
                "heard ",
                "partial no more",
                None,
            ]
            await channel.say("sentinels")
            assert [
                bridge.AgentFiller(text="hm", seq=5),
                bridge.AgentRecording(action="pause", reason="card", seq=6),
                bridge.AgentRecording(action="resume", seq=7),
                bridge.AgentInterrupt(seq=8),
            ] == await events(channel, 4)
            row = await server.session(started["sessionId"])
            assert row["state"] == "active"
            await channel.say("bye")
            await rest(channel)
        assert await server.ended(started["sessionId"]) == ("completed", "sold")
        await server.idle()
        assert [e["text"] for e in runner.heard] == ["partial no more", "sentinels", "bye"]
        assert runner.metadata[0]["data"] == {"name": "Ada"}
        assert runner.complaints == []


async def test_what_a_caller_said_before_a_v2_agent_came_reaches_it_once(server: Server) -> None:
    async with V2Runner(server.url, server.keys["runner"]) as runner:
        started = await server.begin()
        async with TextChannel.connect(started["textUrl"], started["token"]) as channel:
            await channel.say("early")
            await eventually(lambda: [e["text"] for e in runner.heard] == ["early"])
        assert await server.ended(started["sessionId"]) == ("completed", "hangup")
        assert runner.complaints == []


async def test_a_v2_runner_hears_of_an_end_by_the_close_of_its_bridge(server: Server) -> None:
    async with V2Runner(server.url, server.keys["runner"]) as runner:
        started = await server.begin()
        await eventually(lambda: runner.calls == 1)
        async with server.http() as http:
            await http.post(f"/v1/sessions/{started['sessionId']}/end")
        await eventually(lambda: runner.calls == 0)
        reason, _ = await server.ended(started["sessionId"])
        assert reason == "terminated"
        await server.idle()
        assert runner.complaints == []


async def test_a_start_that_no_runner_answers_is_refused_with_its_attempts(server: Server) -> None:
    await server.declare(max_slots=2, growable=False, queue={"timeout_s": 3.0})
    async with V2Runner(server.url, server.keys["runner"], acks=False) as silent:
        async with server.http("public") as http:
            headers = {"Idempotency-Key": "k"}
            body = refusal(await http.post(START, headers=headers), 504, "start_timeout")
        assert {"timeout"} == {a["reason"] for a in body["attempts"]}
        assert {"desk#1a2b3c4d"} == {a["runner"] for a in body["attempts"]}
        assert silent.assigned
        rows = (await server.get("/v1/sessions"))["sessions"]
        assert [r["end_reason"] for r in rows] == ["start_timeout"]
    async with V2Runner(server.url, server.keys["runner"]), server.http("public") as http:
        retried = await http.post(START, headers=headers)
        assert retried.status_code == 200, retried.text
        assert "Idempotent-Replayed" not in retried.headers
