"""What the management API shows: pydantic models, so that its OpenAPI teaches."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.structs import replace
from pydantic import BaseModel, Field

from paddock_orchestrator.state.book import PUBLIC_STATE, Pool, Session
from paddock_orchestrator.store.records import EventRow, Key, Organization, Scope, SessionRow


def utc(ms: int | None) -> str | None:
    """Milliseconds since the epoch as ISO 8601 with milliseconds and `Z`."""
    if ms is None:
        return None
    at = datetime.fromtimestamp(ms / 1000, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


class EventView(BaseModel):
    event_id: int
    at: str
    kind: str
    agent: str
    session_id: str | None
    data: dict[str, Any]


class SessionView(BaseModel):
    session_id: str
    agent: str
    state: str = Field(description="queued | assigned | active | ending | ended")
    runner: str
    attempt: int
    requested_at: str | None
    assigned_at: str | None
    started_at: str | None
    ended_at: str | None
    torn_down_at: str | None
    end_reason: str | None
    end_detail: str | None
    duration_s: float = Field(description="From the entrypoint's start to the call's end, so far")


class SessionDetail(SessionView):
    call: dict[str, Any]
    data: Any = None
    events: list[EventView]


class SessionPage(BaseModel):
    sessions: list[SessionView]
    next: str | None = Field(description="Pass as `before` to see older ones; null at the end")


class AgentView(BaseModel):
    agent: str
    closed: bool = Field(description="Deleted: takes no new sessions")
    in_flight: int
    queued: int
    capacity: int
    free: int
    runners: int
    draining: int
    starting: int
    desired: int
    max_slots: int
    reason: str = Field(description="The pool's last decision, in one sentence")
    pool: dict[str, Any] = Field(description="What the pool's reconciler says; {} without one")
    arrivals: int
    answered: int
    late: int
    refusals: int
    refused_for: dict[str, int]
    completed_last_hour: int
    failed_last_hour: int
    mean_call_duration_s: float
    lost: dict[str, int]


class OrganizationView(BaseModel):
    organization_id: str
    name: str
    created_at: str | None


class KeyView(BaseModel):
    key_id: str
    name: str
    scope: Scope
    agents: list[str]
    created_at: str | None
    expires_at: str | None
    revoked_at: str | None
    key: str = Field(default="", description="The text: of public keys, and of one just made")


class NewKey(BaseModel):
    name: str = Field(min_length=1, max_length=100)
    scope: Scope = Scope.PUBLIC
    agents: list[str] = Field(default=[], max_length=100)
    expires_in_s: float | None = Field(default=None, gt=0, le=315_360_000)


class EndRequest(BaseModel):
    reason: str = Field(default="", max_length=200, description="Free detail, kept with the end")


class UsageView(BaseModel):
    agent: str
    sessions: int
    instantiating_s: float
    running_s: float
    tearing_down_s: float


def session_view(row: SessionRow, now_ms: int) -> SessionView:
    until = row.ended_ms or (now_ms if row.started_ms else None)
    length = (until - row.started_ms) / 1000 if row.started_ms and until else 0.0
    return SessionView(
        session_id=row.session_id,
        agent=row.agent,
        state=row.state,
        runner=row.runner_id,
        attempt=row.attempt,
        requested_at=utc(row.requested_ms),
        assigned_at=utc(row.assigned_ms),
        started_at=utc(row.started_ms),
        ended_at=utc(row.ended_ms),
        torn_down_at=utc(row.torn_down_ms),
        end_reason=row.end_reason,
        end_detail=row.end_detail,
        duration_s=round(max(0.0, length), 3),
    )


def live_over(row: SessionRow, live: Session) -> SessionRow:
    """The row with what memory knows better than the last checkpoint."""
    return replace(
        row,
        state=PUBLIC_STATE[live.stage],
        attempt=live.attempt,
        runner_id=live.last_runner_id,
        assigned_ms=live.assigned_ms,
        started_ms=live.started_ms,
        ended_ms=live.ended_ms,
    )


def event_view(row: EventRow) -> EventView:
    return EventView(
        event_id=row.event_id,
        at=utc(row.at_ms) or "",
        kind=row.kind,
        agent=row.agent,
        session_id=row.session_id,
        data=msgspec.json.decode(row.data),
    )


def organization_view(organization: Organization) -> OrganizationView:
    return OrganizationView(
        organization_id=organization.org_id,
        name=organization.name,
        created_at=utc(organization.created_ms),
    )


def key_view(key: Key, text: str = "") -> KeyView:
    return KeyView(
        key_id=key.key_id,
        name=key.name,
        scope=key.scope,
        agents=list(key.agents),
        created_at=utc(key.created_ms),
        expires_at=utc(key.expires_ms),
        revoked_at=utc(key.revoked_ms),
        key=text or key.shown,
    )


def agent_view(pool: Pool, statistics: Any, live: bool) -> AgentView:
    declared = pool.declared
    connected = [r for r in pool.runners.values() if r.socket is not None]
    counters = pool.counters
    return AgentView(
        agent=pool.agent,
        closed=pool.closed,
        in_flight=statistics.in_flight,
        queued=statistics.queued,
        capacity=statistics.capacity,
        free=statistics.free,
        runners=len(connected),
        draining=sum(r.draining for r in connected),
        starting=declared.starting if live else 0,
        desired=declared.desired if live else len(connected),
        max_slots=declared.max_slots if live else statistics.capacity,
        reason=declared.reason if live else "no pool declares this agent; its runners are counted",
        pool=msgspec.json.decode(declared.status) if live else {},
        arrivals=counters.arrivals,
        answered=counters.answered,
        late=counters.late,
        refusals=counters.refusals,
        refused_for={str(k): v for k, v in counters.refused_for.items()},
        completed_last_hour=statistics.completed_last_hour,
        failed_last_hour=statistics.failed_last_hour,
        mean_call_duration_s=round(statistics.mean_call_duration_s, 3),
        lost=dict(counters.lost_for),
    )
