"""What reconcilers use: declared pools, drain commands, the statistics stream."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Path
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from paddock.protocol import control
from paddock_orchestrator.api.answers import ApiError
from paddock_orchestrator.api.guard import Caller, private
from paddock_orchestrator.api.start import AGENT
from paddock_orchestrator.api.statistics import Deltas
from paddock_orchestrator.dispatch.placement import Placement
from paddock_orchestrator.orchestrator import now
from paddock_orchestrator.state.book import Declared, Pool

router = APIRouter(prefix="/v1/internal", tags=["reconcilers"])
Private = Annotated[Caller, Depends(private)]
AgentName = Annotated[str, Path(max_length=70)]

DELTA_S = 1.0
_encode = msgspec.json.Encoder().encode


class Queue(BaseModel):
    timeout_s: float = Field(default=30.0, ge=0, le=3600)
    max_length: int = Field(default=100, ge=0, le=100_000)
    wait_at_maximum: bool = False


class PoolDeclaration(BaseModel):
    """A pool as its reconciler sees it. Good for 30 s: repeat it."""

    max_slots: int = Field(ge=0, le=10_000_000)
    growable: bool
    starting: int = Field(default=0, ge=0, le=1_000_000)
    placement: Placement = Placement.PACKED
    queue: Queue = Queue()
    max_duration_s: float = Field(default=7200.0, ge=0, le=31_536_000)
    revision: str = Field(default="", max_length=100)
    desired: int = Field(default=0, ge=0, le=1_000_000)
    reason: str = Field(default="", max_length=2000)
    opening: bool = Field(default=False, description="First of this reconciler: undo a delete")
    status: dict[str, Any] = {}


class PoolAnswer(BaseModel):
    closed: bool = Field(description="The agent was deleted: the pool is to go")


class DrainCommand(BaseModel):
    drain_epoch: int = Field(ge=1, le=2**53)
    mode: Literal["serve", "drain"]
    deadline_in_s: float | None = Field(default=None, ge=0, le=31_536_000)
    warn_before_s: float = Field(default=0.0, ge=0, le=31_536_000)
    reason: str = Field(default="", max_length=200)


class DrainAnswer(BaseModel):
    told: bool = Field(description="False: not connected, or it cannot be drained")


@router.put("/agents/{agent}/pool")
async def declare_pool(agent: AgentName, request: PoolDeclaration, caller: Private) -> PoolAnswer:
    """Declare an agent's pool: what it may grow to, and what it last decided."""
    if AGENT.match(agent) is None:
        raise ApiError(422, "bad_request", f"agent: got {agent!r}, expected a DNS label")
    orchestrator = caller.orchestrator
    declared = Declared(
        max_slots=request.max_slots,
        growable=request.growable,
        starting=request.starting,
        placement=request.placement,
        queue_timeout_s=request.queue.timeout_s,
        max_queued=request.queue.max_length,
        wait_at_maximum=request.queue.wait_at_maximum,
        max_duration_s=request.max_duration_s,
        revision=request.revision,
        desired=request.desired,
        reason=request.reason,
        status=_encode(request.status),
    )
    pool = orchestrator.declare((caller.org, agent), declared)
    if request.opening and pool.closed:
        await orchestrator.open_agent(pool)
    return PoolAnswer(closed=pool.closed)


@router.put("/runners/{runner_id}/drain")
async def command_runner(
    runner_id: Annotated[str, Path(max_length=200)], request: DrainCommand, caller: Private
) -> DrainAnswer:
    """Relay a drain or serve to a runner. Its own report, in the statistics, is the answer."""
    frame: control.Drain | control.Serve
    if request.mode == "drain":
        deadline = request.deadline_in_s
        frame = control.Drain(
            drain_epoch=request.drain_epoch,
            deadline_ms=None if deadline is None else int(deadline * 1000),
            warn_before_ms=int(request.warn_before_s * 1000),
            reason=request.reason,
        )
    else:
        frame = control.Serve(drain_epoch=request.drain_epoch)
    return DrainAnswer(told=caller.orchestrator.command(caller.org, runner_id, frame))


@router.delete("/runners/{runner_id}")
async def runner_is_gone(
    runner_id: Annotated[str, Path(max_length=200)], caller: Private
) -> DrainAnswer:
    """The runner's process or pod is over: its sessions are lost now, not after their grace."""
    return DrainAnswer(told=caller.orchestrator.gone(caller.org, runner_id))


@router.get("/stats")
async def statistics(caller: Private, watch: bool = False) -> StreamingResponse:
    """Statistics per pool and runner. `watch=1`: NDJSON, a snapshot, then what changes.

    Each line has `boot` (random per orchestrator process) and `seq`. A line comes every second,
    changed or not, and at once when a queue leaves zero.
    """
    stream = _stream(caller, watch)
    return StreamingResponse(stream, media_type="application/x-ndjson")


async def _stream(caller: Caller, watch: bool) -> AsyncIterator[bytes]:
    orchestrator = caller.orchestrator
    deltas = Deltas()
    woken = asyncio.Event()
    orchestrator.wakers().add(woken)
    seq = 0
    try:
        while True:
            at = now()
            seq += 1
            line = {
                "boot": orchestrator.dispatcher.boot,
                "seq": seq,
                "at_ms": at.wall_ms,
                "recovering": orchestrator.book.recovering(at),
                **deltas.take(_pools(caller), at),
            }
            yield _encode(line) + b"\n"
            if not watch or orchestrator.stopping:
                return
            try:
                async with asyncio.timeout(DELTA_S):
                    await woken.wait()
            except TimeoutError:
                pass
            woken.clear()
    finally:
        orchestrator.wakers().discard(woken)


def _pools(caller: Caller) -> list[Pool]:
    return [p for p in caller.orchestrator.book.pools.values() if p.org == caller.org]
