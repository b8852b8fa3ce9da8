"""What is told to an orchestrator that is slow, or away."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from fakes.http_server import FakeHttpServer, Told
from fakes.processes import Server
from fakes.waiting import eventually
from paddock_operator.plan.view import Intent
from paddock_operator.signals.link import REQUEST_TIMEOUT_S, OrchestratorLink
from paddock_operator.signals.patience import PAUSE_S

BODY = {"max_slots": 1, "growable": True}
KEY = "sk_secret"


@contextlib.asynccontextmanager
async def followed(
    url: str, key: str = KEY, changed: Callable[[], None] = lambda: None
) -> AsyncIterator[OrchestratorLink]:
    """A link, with its statistics followed as long as that does not end by itself."""
    link = OrchestratorLink(url, key, changed=changed)
    following = asyncio.create_task(link.follow(lambda _: None))
    try:
        yield link
        assert not following.done(), following.exception()
    finally:
        following.cancel()
        await asyncio.wait([following])
        await link.close()


async def test_many_commands_to_a_silent_orchestrator_are_given_up_together(
    server: Server,
) -> None:
    """In requests of their own they would take 25 times as long as one."""
    link = OrchestratorLink(server.url, server.keys["private"])
    server.signal(signal.SIGSTOP)
    began = time.monotonic()
    try:
        told = await asyncio.gather(
            *(
                link.tell(f"r{n}", Intent(1), instance="", now=0.0, warn_before_s=0.0)
                for n in range(200)
            )
        )
    finally:
        server.signal(signal.SIGCONT)
        await link.close()
    assert not any(told)
    assert time.monotonic() - began < 3 * REQUEST_TIMEOUT_S


async def test_what_is_said_to_a_closed_link_is_not_heard_and_nothing_is_raised(
    server: Server,
) -> None:
    """A pass may be under way while its connection is given another address."""
    link = OrchestratorLink(server.url, server.keys["private"])
    await link.close()
    assert await link.declare("desk", {"max_slots": 1, "growable": True}) is None
    assert await link.gone("r1", "") is False
    assert await link.tell("r1", Intent(1), instance="", now=0.0, warn_before_s=0.0) is False


async def test_nobody_else_waits_for_one_that_is_silent_and_it_is_asked_again_by_itself(
    server: Server,
) -> None:
    changes: list[str] = []
    async with followed(
        server.url, server.keys["private"], lambda: changes.append(link.problem)
    ) as link:
        assert await link.declare("desk", BODY) is False
        server.signal(signal.SIGSTOP)
        try:
            assert await link.declare("desk", BODY) is None
            assert link.problem
            began = time.monotonic()
            for _ in range(50):
                assert await link.declare("desk", BODY) is None
                assert not await link.gone("r1", "")
                assert not await link.tell("r1", Intent(1), instance="", now=0, warn_before_s=0)
            took_s = time.monotonic() - began
            assert took_s < REQUEST_TIMEOUT_S, "any of them may have waited"
        finally:
            server.signal(signal.SIGCONT)
        changes.clear()
        await eventually(lambda: "" in changes, what="an answer")
        assert await link.declare("desk", BODY) is False


async def test_one_request_that_is_lost_costs_the_others_nothing(server: Server) -> None:
    async with followed(server.url, server.keys["private"]) as link:
        server.kill()
        assert await link.declare("desk", BODY) is None
        await server.start()

        async def heard() -> bool:
            return await link.declare("desk", BODY) is False

        await eventually(heard, within_s=PAUSE_S, what="a declaration that is heard")


WRONG = [b"{}", b"[]", b"null", b'{"status": "ok"}', b"<html>welcome</html>", b""]


@pytest.mark.parametrize("body", WRONG)
async def test_a_wrong_server_is_a_problem_that_names_the_address(body: bytes) -> None:
    with FakeHttpServer() as wrong:
        wrong.tell("GET /v1/internal/stats", Told(body=body))
        async with followed(wrong.url) as link:
            await eventually(lambda: link.problem, what="a problem")
            assert wrong.url in link.problem
            assert not link.heard
            before = len(wrong.asked)
            await eventually(lambda: len(wrong.asked) > before + 1, what="another attempt")


@pytest.mark.parametrize("body", WRONG)
async def test_a_wrong_answer_is_no_answer_and_nothing_is_raised(body: bytes) -> None:
    with FakeHttpServer() as wrong:
        for path in ("agents/desk/pool", "pools", "drains"):
            wrong.tell(f"PUT /v1/internal/{path}", Told(body=body))
        link = OrchestratorLink(wrong.url, KEY)
        assert await link.declare("desk", BODY) is None
        assert not link.stands("desk")
        assert not await link.tell("r1", Intent(1), instance="", now=0.0, warn_before_s=0.0)
        await link.close()


async def test_fewer_answers_than_commands_are_none() -> None:
    with FakeHttpServer() as wrong:
        wrong.tell("PUT /v1/internal/drains", Told(body={"told": [], "refused": []}))
        link = OrchestratorLink(wrong.url, KEY)
        assert not await link.tell("r1", Intent(1), instance="", now=0.0, warn_before_s=0.0)
        await link.close()


async def test_a_key_that_cannot_be_sent_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "paddock")
    with FakeHttpServer() as server:
        async with followed(server.url, "sk_secret\nrk_other") as link:
            assert await link.declare("desk", BODY) is None
            await eventually(lambda: link.problem, what="a problem")
            told = [link.problem, *(str(vars(record)) for record in caplog.records)]
    assert not [text for text in told if "secret" in text or "rk_other" in text]


async def test_a_key_that_a_server_gives_back_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    with FakeHttpServer() as echo:
        echo.refuse("PUT /v1/internal/agents/desk/pool", 400, f"wrong: Bearer {KEY}")
        link = OrchestratorLink(echo.url, KEY)
        assert await link.declare("desk", BODY) is None
        await link.close()
    told: list[Any] = [vars(record) for record in caplog.records]
    assert "wrong" in str(told)
    assert KEY not in str(told)
