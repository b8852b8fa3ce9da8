"""A runner whose disk is full obeys a drain, and answers it only when it can be remembered."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.worker_server import Peer, worker_server
from paddock import AgentRunner, CallContext
from paddock._barrier_file import restored_barrier
from paddock.protocol.words import Mode


async def entrypoint(ctx: CallContext) -> None:
    raise AssertionError("nobody calls")


@contextlib.asynccontextmanager
async def running(url: str) -> AsyncIterator[None]:
    run = asyncio.create_task(AgentRunner(entrypoint, "desk", "rk_x", base_url=url).run())
    try:
        yield
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)


async def test_a_drain_is_reported_when_it_can_be_stored_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PADDOCK_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("PADDOCK_POD_UID", "u1")
    file = tmp_path / "u1.barrier"
    file.mkdir()  # Nothing can be stored in its place.
    done = asyncio.Event()

    async def play(peer: Peer) -> None:
        await peer.welcome()
        await peer.send("drain", drain_epoch=3)
        beats = 0
        while beats < 3:
            frame = await peer.receive()
            assert frame["type"] != "drain.report", "reported what a restart forgets"
            beats += frame["type"] == "heartbeat" and frame["draining"]
        await peer.send(
            "job.assign", job_id="j", call_id="s", agent_id="desk", bridge_url="ws://x",
            call_token="t", assign_id="a",
        )  # fmt: skip
        assert (await peer.receive("job.ack"))["reason"] == "draining"
        file.rmdir()
        report = await peer.receive("drain.report")
        assert (report["drain_epoch"], report["booked"]) == (3, 0)
        assert restored_barrier(file).mode is Mode.DRAIN
        done.set()

    async with worker_server(play) as url, running(url), asyncio.timeout(20):
        await done.wait()
