"""What is told to an orchestrator that is slow, or away."""

import asyncio
import signal
import time

from fakes.processes import Server
from paddock_operator.plan.view import Intent
from paddock_operator.signals.link import REQUEST_TIMEOUT_S, OrchestratorLink


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
