"""A job whose acceptance was lost with the socket."""

import asyncio

from fakes.worker_server import Peer, worker_server
from paddock import AgentRunner, CallContext
from paddock.protocol import closing


async def entrypoint(ctx: CallContext) -> None:
    raise AssertionError("the job was given to another runner")


async def test_a_job_whose_answer_was_lost_counts_until_its_dial_is_refused() -> None:
    """So a drain that comes meanwhile is not answered with zero, and is answered in the end."""
    dialled, refuse, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def first(peer: Peer) -> None:
        await peer.welcome()
        await peer.send(
            "job.assign", job_id="s.1", call_id="s", agent_id="desk", call_token="t", attempt=1,
            bridge_url=peer.bridge_url, assign_id="s.1",
        )  # fmt: skip
        await dialled.wait()
        peer.lose()  # The answer is never read.

    async def second(peer: Peer) -> None:
        await peer.welcome()
        (held,) = peer.registration["sessions"]
        assert (held["session_id"], held["state"]) == ("s", "assigned")
        await peer.send("drain", drain_epoch=1)
        assert (await peer.receive("drain.report"))["booked"] == 1
        refuse.set()
        ended = await peer.receive("session.event")
        assert (ended["session_id"], ended["kind"]) == ("s", "ended")
        assert (await peer.receive("drain.report"))["booked"] == 0
        done.set()

    async def bridge(peer: Peer) -> None:
        dialled.set()
        await refuse.wait()
        await peer.close(closing.BAD_TOKEN)

    async with worker_server(first, second, bridge=bridge) as url, asyncio.timeout(30):
        runner = AgentRunner(entrypoint, "desk", "rk_x", base_url=url)
        run = asyncio.create_task(runner.run())
        await done.wait()
        await runner.shutdown()
        await run
