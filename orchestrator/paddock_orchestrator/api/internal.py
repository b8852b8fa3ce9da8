"""What reconcilers use: declared pools, drain commands, the statistics stream."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field, SkipValidation, ValidationError

from paddock.protocol import control
from paddock_orchestrator.api.answers import ApiError, complaint
from paddock_orchestrator.api.guard import Caller, private
from paddock_orchestrator.api.statistics import Deltas
from paddock_orchestrator.dispatch.placement import Placement
from paddock_orchestrator.orchestrator import now
from paddock_orchestrator.state.book import AGENT, Declared, Pool

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
    """A pool as its reconciler sees it. Good for 30 s: repeat it, or renew it with others."""

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


class Renewal(BaseModel):
    agents: list[str] = Field(max_length=100_000)


class RenewalAnswer(BaseModel):
    lapsed: list[str] = Field(description="No declaration of theirs is good: declare them again")


class DrainCommand(BaseModel):
    runner_id: str = Field(max_length=200)
    instance: str = Field(
        default="",
        max_length=200,
        description="Only for a runner whose instance begins so: names are used again",
    )
    drain_epoch: int = Field(ge=1, le=2**53)
    mode: Literal["serve", "drain"]
    deadline_in_s: float | None = Field(default=None, ge=0, le=31_536_000)
    warn_before_s: float = Field(default=0.0, ge=0, le=31_536_000)
    reason: str = Field(default="", max_length=200)

    def frame(self) -> control.Drain | control.Serve:
        if self.mode == "serve":
            return control.Serve(drain_epoch=self.drain_epoch)
        deadline = self.deadline_in_s
        return control.Drain(
            drain_epoch=self.drain_epoch,
            deadline_ms=None if deadline is None else int(deadline * 1000),
            warn_before_ms=int(self.warn_before_s * 1000),
            reason=self.reason,
        )


class DrainCommands(BaseModel):
    # Each is validated by itself: a bad one must not keep the others from being relayed.
    drains: list[SkipValidation[DrainCommand]] = Field(max_length=1000)


class DrainAnswer(BaseModel):
    told: list[bool] = Field(
        description="In the order of the commands. "
        "False: not connected, it cannot be drained, or the command is among `refused`"
    )
    refused: list[str] = Field(description="What is wrong with commands that make no sense")


class GoneAnswer(BaseModel):
    told: bool = Field(description="False: no such runner is known")


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


@router.put("/pools")
async def renew_pools(request: Renewal, caller: Private) -> RenewalAnswer:
    """Say that nothing has changed in these agents' pools: their declarations are good anew."""
    return RenewalAnswer(lapsed=caller.orchestrator.renew(caller.org, request.agents))


@router.put("/drains")
async def command_runners(request: DrainCommands, caller: Private) -> DrainAnswer:
    """Relay drains and serves to runners, in their order. A runner's own report, in the statistics,
    is its answer."""
    answer = DrainAnswer(told=[], refused=[])
    for number, raw in enumerate(request.drains):
        try:
            command = DrainCommand.model_validate(raw)
        except ValidationError as why:
            answer.told.append(False)
            answer.refused += [complaint(one, "drains", number) for one in why.errors()]
        else:
            answer.told.append(
                caller.orchestrator.command(
                    caller.org, command.runner_id, command.frame(), command.instance
                )
            )
    return answer


@router.delete("/runners/{runner_id}")
async def runner_is_gone(
    runner_id: Annotated[str, Path(max_length=200)],
    caller: Private,
    instance: Annotated[str, Query(max_length=200)] = "",
) -> GoneAnswer:
    """The runner's process or pod is over: its sessions are lost now, not after their grace.

    `instance`: only if the runner's instance begins so.
    """
    return GoneAnswer(told=caller.orchestrator.gone(caller.org, runner_id, instance))


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
