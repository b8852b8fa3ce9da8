"""`GET /v1/events`: what happens, as server-sent events, resumable by id."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import StreamingResponse

from paddock_orchestrator.api.guard import Caller, private
from paddock_orchestrator.api.views import event_view
from paddock_orchestrator.store.records import EventRow

router = APIRouter(prefix="/v1", tags=["events"])

KEEPALIVE_S = 15.0
_PAGE = 500


@router.get("/events")
async def events(
    caller: Annotated[Caller, Depends(private)],
    after: Annotated[int | None, Query(ge=0, le=2**62, description="The last id seen")] = None,
    agent: str | None = None,
    follow: Annotated[bool, Query(description="Stay and stream; else return what is there")] = True,
    last_event_id: Annotated[int | None, Header(ge=0, le=2**62)] = None,
) -> StreamingResponse:
    """Session starts and ends with their reasons, and pool decisions, in order.

    Without `after` (or `Last-Event-ID`) the stream begins now; 0 begins with the oldest kept.
    """
    seen = last_event_id if last_event_id is not None else after
    return StreamingResponse(_stream(caller, agent, seen, follow), media_type="text/event-stream")


async def _stream(
    caller: Caller, agent: str | None, seen: int | None, follow: bool
) -> AsyncIterator[bytes]:
    journal = caller.orchestrator.journal
    queue = journal.follow()
    try:
        last = seen if seen is not None else await journal.store.last_event_id()
        while True:
            page = await journal.store.events_after(caller.org, last, _PAGE, agent=agent)
            for row in page:
                last = row.event_id
                yield _sse(row)
            if len(page) < _PAGE:
                break
        while follow and not caller.orchestrator.stopping:
            try:
                async with asyncio.timeout(KEEPALIVE_S):
                    event = await queue.get()
            except TimeoutError:
                yield b": keep-alive\n\n"
                continue
            if event is None:
                return
            if event.event_id > last and event.org_id == caller.org:
                if agent in (None, event.agent):
                    yield _sse(event)
                last = event.event_id
    finally:
        journal.unfollow(queue)


def _sse(row: EventRow) -> bytes:
    body = event_view(row).model_dump_json()
    return f"id: {row.event_id}\nevent: {row.kind}\ndata: {body}\n\n".encode()
