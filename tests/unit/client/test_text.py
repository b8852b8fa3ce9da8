"""The caller's text channel."""

import asyncio

import pytest

from fakes.text_server import Line, text_server
from paddock.client.text import AgentEvent, AgentSay, AgentTextDelta, TextChannel
from paddock.errors import ChannelLost, SessionEnded, Unauthorized, Unreachable


def words(events: list[AgentEvent]) -> list[str]:
    return [e.text for e in events if isinstance(e, AgentSay | AgentTextDelta)]


async def test_each_event_is_delivered_once_and_in_order_through_a_lost_socket() -> None:
    """What the agent said twice because of the reconnect is heard once."""
    asked: list[str] = []

    async def first(line: Line) -> None:
        await line.ready()
        await line.send("agent.say", text="one", seq=1)
        await line.send("agent.text.delta", text="two", seq=2)
        await line.receive("ack")
        line.lose()

    async def second(line: Line) -> None:
        asked.append(line.asked["received"])
        await line.ready()
        await line.send("agent.text.delta", text="two", seq=2)
        await line.send("agent.text.delta", text="three", seq=3)
        await line.end("completed", "bye")

    async with (
        text_server(first, second) as url,
        TextChannel.connect(url, "t") as channel,
    ):
        events = [event async for event in channel]
    assert words(events) == ["one", "two", "three"]
    assert asked in (["1"], ["2"])
    assert channel.ended is not None
    assert (channel.ended.reason, channel.ended.detail) == ("completed", "bye")


async def test_what_the_agent_has_not_taken_is_said_again_in_order() -> None:
    """The ready frame says how far the agent is; the rest goes out again, and only that."""
    again: list[tuple[int, str]] = []

    async def first(line: Line) -> None:
        await line.ready()
        for _ in range(3):
            await line.receive("user.text")
        line.lose()

    async def second(line: Line) -> None:
        await line.ready(received=1)
        for _ in range(2):
            frame = await line.receive("user.text")
            again.append((frame["seq"], frame["text"]))
        await line.end()

    async with (
        text_server(first, second) as url,
        TextChannel.connect(url, "t") as channel,
    ):
        for text in ("a", "b", "c"):
            await channel.say(text)
        assert [event async for event in channel] == []
    assert again == [(2, "b"), (3, "c")]


async def test_partials_and_interruptions_are_numbered_with_what_is_said() -> None:
    """One sequence over all that the caller does."""
    seen: list[tuple[str, int]] = []

    async def part(line: Line) -> None:
        await line.ready()
        for event in ("user.text", "user.interrupted", "user.text"):
            frame = await line.receive(event)
            seen.append((event, frame["seq"]))
            if event == "user.text":
                final.append(frame.get("is_final", True))
        await line.end()

    final: list[bool] = []
    async with text_server(part) as url, TextChannel.connect(url, "t") as channel:
        await channel.say("hel", final=False)
        await channel.interrupt("he")
        await channel.say("hello")
        assert [event async for event in channel] == []
    assert seen == [("user.text", 1), ("user.interrupted", 2), ("user.text", 3)]
    assert final == [False, True]


async def test_leaving_the_block_hangs_up() -> None:
    """A caller that goes is told to the agent at once, not after a grace."""
    hung_up = asyncio.Event()

    async def part(line: Line) -> None:
        await line.ready()
        await line.receive("user.hangup")
        hung_up.set()

    async with text_server(part) as url:
        async with TextChannel.connect(url, "t"):
            pass
        async with asyncio.timeout(45):
            await hung_up.wait()


async def test_a_session_that_is_over_gives_an_ended_channel() -> None:
    """Its reason is told; nothing is iterated, and nothing can be said."""
    async with (
        text_server(lambda line: line.end("runner_lost", "runner_gone")) as url,
        TextChannel.connect(url, "t") as channel,
    ):
        assert channel.ended is not None
        assert channel.ended.reason == "runner_lost"
        assert [event async for event in channel] == []
        with pytest.raises(SessionEnded):
            await channel.say("hello?")


async def test_a_wrong_token_is_unauthorized() -> None:
    """Trying again cannot help, so nobody does."""
    async with text_server(lambda line: line.close(4003)) as url:
        with pytest.raises(Unauthorized):
            async with TextChannel.connect(url, "wrong"):
                pass


async def test_a_channel_that_was_taken_over_is_lost() -> None:
    """Two callers must not take a session from each other for ever."""

    async def part(line: Line) -> None:
        await line.ready()
        await line.close(4010)

    async with text_server(part) as url, TextChannel.connect(url, "t") as channel:
        with pytest.raises(ChannelLost, match="another caller"):
            await anext(aiter(channel))


async def test_nobody_there_is_unreachable_and_names_the_address() -> None:
    """The first dial is not repeated."""
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        async with TextChannel.connect("http://127.0.0.1:9/v1/sessions/s/text", "t"):
            pass


async def test_the_first_dial_waits_for_an_orchestrator_that_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Longer than the next ones, which are repeated: whoever started a session keeps it."""
    monkeypatch.setattr("paddock.client.text.DIAL_TIMEOUT_S", 0.1)

    async def part(line: Line) -> None:
        await asyncio.sleep(0.5)
        await line.ready()
        await line.receive("user.hangup")

    async with text_server(part) as url, TextChannel.connect(url, "t") as channel:
        assert channel.is_live()


async def test_a_way_back_is_sought_only_so_long() -> None:
    """After that the channel is lost, and says so."""

    async def part(line: Line) -> None:
        await line.ready()
        line.lose()

    async with (
        text_server(part) as url,
        TextChannel.connect(url, "t", give_up_after_s=0.0) as channel,
    ):
        with pytest.raises(ChannelLost, match="no way back"):
            await anext(aiter(channel))


async def test_an_http_address_is_dialled_as_a_socket() -> None:
    """Servers may print either."""
    async with (
        text_server(lambda line: line.end()) as url,
        TextChannel.connect(url.replace("ws://", "http://"), "t") as channel,
    ):
        assert not channel.is_live()
