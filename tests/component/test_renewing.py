"""A declaration that nothing has changed in is renewed together with others."""

import asyncio
import contextlib

from fakes.http_server import FakeHttpServer, Told
from fakes.processes import Server
from fakes.waiting import PATIENCE_S, eventually
from paddock_operator.signals import link as links
from paddock_operator.signals.link import OrchestratorLink

BODY = {"max_slots": 1, "growable": True}


async def test_what_the_orchestrator_forgot_is_to_be_declared_again(server: Server) -> None:
    link = OrchestratorLink(server.url, server.keys["private"])
    following = asyncio.create_task(link.follow(lambda _: None))
    try:
        await eventually(lambda: link.heard, what="the statistics of the first process")
        assert await link.declare("desk", BODY) is False
        assert link.stands("desk")
        server.kill()
        await server.start()
        await eventually(lambda: not link.stands("desk"), within_s=links.RETRY_S + PATIENCE_S)
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        await link.close()


async def test_what_has_lapsed_is_news_at_once() -> None:
    """By the answer to a renewal alone: the statistics are of the same process."""
    changes: list[bool] = []
    with FakeHttpServer() as server:
        line = {"boot": "b", "seq": 1, "gone": [], "pools": [], "runners": []}
        server.tell("GET /v1/internal/stats", Told(body=line))
        server.tell("PUT /v1/internal/agents/desk/pool", Told(body={"closed": False}))
        server.tell("PUT /v1/internal/pools", Told(body={"lapsed": ["desk"]}))
        link = OrchestratorLink(
            server.url, "sk_one", changed=lambda: changes.append(link.stands("desk"))
        )
        following = asyncio.create_task(link.follow(lambda _: None))
        try:
            await eventually(lambda: link.heard)
            assert await link.declare("desk", BODY) is False
            changes.clear()
            link.renew("desk")
            await eventually(lambda: changes == [False], within_s=links.RENEW_S + PATIENCE_S)
        finally:
            following.cancel()
            await asyncio.wait([following])
            await link.close()
