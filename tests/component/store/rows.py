"""Rows for the tests, with everything filled in that a test does not care about."""

from typing import Any

from msgspec.structs import replace

from paddock_orchestrator.store.records import EventRow, SessionChange, SessionRow

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
