"""Rows for the tests, with everything filled in that a test does not care about."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from paddock_orchestrator.store.records import EventRow, SessionChange, SessionRow
from paddock_orchestrator.store.store import Store

_SESSION = SessionRow(
    session_id="s1",
    org_id="acme",
    agent="billing",
    state="active",
    attempt=1,
    runner_id="runner-1",
    instance="a1",
    requested_ms=1000,
    max_duration_s=3600.5,
    call=b'{"direction":"inbound"}',
    data=b'{"x": 1}',
    assigned_ms=1001,
)


def session(session_id: str, **changes: Any) -> SessionRow:
    return replace(_SESSION, session_id=session_id, **changes)


def event(event_id: int, session_id: str | None = None, **changes: Any) -> EventRow:
    row = EventRow(event_id, "acme", event_id, "session.started", "billing", session_id, b"{}")
    return replace(row, **changes)


def ended(row: SessionRow, at_ms: int) -> SessionChange:
    return SessionChange(
        session_id=row.session_id,
        state="ended",
        attempt=row.attempt,
        runner_id=row.runner_id,
        instance=row.instance,
        assigned_ms=row.assigned_ms,
        started_ms=row.started_ms,
        ended_ms=at_ms,
        torn_down_ms=at_ms,
        end_reason="completed",
        end_detail="hangup",
    )


def put(
    store: Store,
    row: SessionRow,
    events: Sequence[EventRow] = (),
    on_commit: Callable[[], None] = lambda: None,
) -> asyncio.Future[None]:
    """Resolved once the store keeps the row and the events."""
    future, kept, failed = _told(on_commit)
    store.put_soon(row, events, kept, failed)
    return future


def change(
    store: Store,
    what: SessionChange,
    events: Sequence[EventRow] = (),
    on_commit: Callable[[], None] = lambda: None,
) -> asyncio.Future[None]:
    future, kept, failed = _told(on_commit)
    store.change_soon(what, events, kept, failed)
    return future


def append(
    store: Store, events: Sequence[EventRow], on_commit: Callable[[], None] = lambda: None
) -> asyncio.Future[None]:
    future, kept, failed = _told(on_commit)
    store.append_soon(events, kept, failed)
    return future


def _told(
    on_commit: Callable[[], None],
) -> tuple[asyncio.Future[None], Callable[[], None], Callable[[Exception], None]]:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def kept() -> None:
        on_commit()
        if not future.done():
            future.set_result(None)

    def failed(why: Exception) -> None:
        if not future.done():
            future.set_exception(why)

    return future, kept, failed


async def settle(*futures: asyncio.Future[Any]) -> list[Any]:
    """What became of each."""
    return await asyncio.gather(*futures, return_exceptions=True)
