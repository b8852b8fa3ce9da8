"""Checked by mypy, never run: the management client and the text channel."""

from typing import Any, assert_type

from paddock import AsyncClient, ConfigurationError, PaddockError
from paddock.client.records import (
    Agent,
    Event,
    Key,
    Organization,
    Runner,
    SessionPage,
    SessionRecord,
    Started,
)
from paddock.client.text import AgentEvent, TextChannel
from paddock.errors import ApiError, AtCapacity, NotFound, Unreachable


async def manage() -> None:
    async with AsyncClient("sk_", "http://127.0.0.1:8600", timeout_s=5, retries=0) as client:
        assert_type(client, AsyncClient)
        assert_type(await client.agents.list(), tuple[Agent, ...])
        assert_type(await client.agents.get("support-en"), Agent)
        assert_type(await client.agents.delete("support-en"), Agent)
        assert_type(await client.runners.list("support-en"), tuple[Runner, ...])
        page = await client.sessions.list("support-en", state="open", limit=10)
        assert_type(page, SessionPage)
        assert_type(page.next, str | None)
        assert_type(await client.sessions.get("id"), SessionRecord)
        assert_type(await client.sessions.end("id", "spam"), SessionRecord)
        assert_type(await client.organization(), Organization)
        assert_type(await client.keys.list(), tuple[Key, ...])
        key = await client.keys.create("web", "public", agents=("support-en",), expires_in_s=60)
        assert_type(key, Key)
        assert_type(await client.keys.roll(key.key_id), Key)
        assert_type(await client.keys.revoke(key.key_id), Key)
        assert_type(await client.ask("GET", "/v1/usage"), Any)


async def talk(client: AsyncClient) -> None:
    started = await client.start("support-en", {"ticket": 7}, idempotency_key="once")
    assert_type(started, Started)
    assert_type(started.replayed, bool)
    async with TextChannel.connect(started.text_url, started.token) as channel:
        assert_type(channel, TextChannel)
        assert_type(channel.is_live(), bool)
        await channel.say("Hello")
        async for event in channel:
            assert_type(event, AgentEvent)
        if channel.ended is not None:
            assert_type(channel.ended.reason, str)


async def follow(client: AsyncClient) -> None:
    async for event in client.events.follow(after=0):
        assert_type(event, Event)


def errors(full: AtCapacity, unknown: NotFound, away: Unreachable) -> None:
    api: ApiError = full
    assert_type(full.retry_after_s, float)
    assert_type(full.retryable, bool)
    everything: list[PaddockError] = [api, unknown, away, ConfigurationError("x")]
    wrong: ValueError = ConfigurationError("x")
    print(everything, wrong)
