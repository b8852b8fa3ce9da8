"""A declaration that nothing has changed in is renewed together with others."""

import asyncio
import contextlib

from fakes.processes import Server
from fakes.waiting import PATIENCE_S, eventually
from paddock_operator.signals import link as links
from paddock_operator.signals.link import OrchestratorLink

BODY = {"max_slots": 1, "growable": True}


async def test_what_the_orchestrator_forgot_is_to_be_declared_again(server: Server) -> None:
    link = OrchestratorLink(server.url, server.keys["private"])
    following = asyncio.create_task(link.follow(lambda _: None))
    try:
        assert await link.declare("desk", BODY) is False
        assert link.stands("desk")
        server.kill()
        await server.start()
        link.renew("desk")
        await eventually(lambda: not link.stands("desk"), within_s=links.RENEW_S + PATIENCE_S)
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        await link.close()
