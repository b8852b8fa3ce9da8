"""The management API under `/v1`: thin translations onto the use cases, documented by OpenAPI."""

import re
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Path, Query

from paddock_orchestrator.api.answers import ApiError
from paddock_orchestrator.api.guard import Caller, private
from paddock_orchestrator.api.openapi import errors
from paddock_orchestrator.api.statistics import pool_statistics, runner_statistics
from paddock_orchestrator.api.views import (
    AgentView,
    EndRequest,
    KeyView,
    NewKey,
    OrganizationView,
    SessionDetail,
    SessionPage,
    SessionView,
    UsageView,
    agent_view,
    event_view,
    key_view,
    live_over,
    organization_view,
    session_view,
)
from paddock_orchestrator.keyring import Over
from paddock_orchestrator.orchestrator import now
from paddock_orchestrator.state.book import Pool
from paddock_orchestrator.store.records import Key, Scope, SessionRow

router = APIRouter(prefix="/v1")
Private = Annotated[Caller, Depends(private)]
AgentName = Annotated[str, Path(min_length=1, max_length=70)]
_CURSOR = re.compile(r"(\d{1,15})_([0-9a-f-]{36})\Z")


def _pool(caller: Caller, agent: str) -> Pool:
    pool = caller.orchestrator.book.pools.get((caller.org, agent))
    if pool is None:
        raise ApiError(404, "unknown_agent", f"No agent {agent!r}")
    return pool


def _view(pool: Pool) -> AgentView:
    at = now()
    return agent_view(pool, pool_statistics(pool, at), pool.live(at.mono))


@router.get("/agents", tags=["agents"])
async def list_agents(caller: Private) -> list[AgentView]:
    """Agents that have runners or a pool, with their sessions, slots and last decision."""
    pools = caller.orchestrator.book.pools.values()
    mine = [p for p in pools if p.org == caller.org]
    return [_view(p) for p in sorted(mine, key=lambda p: p.agent)]


@router.get("/agents/{agent}", tags=["agents"])
async def show_agent(agent: AgentName, caller: Private) -> AgentView:
    """One agent."""
    return _view(_pool(caller, agent))


@router.delete("/agents/{agent}", tags=["agents"])
async def delete_agent(agent: AgentName, caller: Private) -> AgentView:
    """Block new sessions. Active ones go on: stop each individually."""
    pool = _pool(caller, agent)
    await caller.orchestrator.close_agent(pool)
    return _view(pool)


@router.get("/runners", tags=["runners"])
async def list_runners(caller: Private, agent: str | None = None) -> list[dict[str, Any]]:
    """Known runners with what they hold."""
    runners = caller.orchestrator.book.runners.values()
    return [
        _plain(runner_statistics(r))
        for r in sorted(runners, key=lambda r: r.order)
        if r.org == caller.org and agent in (None, r.pool.agent)
    ]


@router.get("/sessions", tags=["sessions"])
async def list_sessions(
    caller: Private,
    agent: str | None = None,
    state: Annotated[str | None, Query(description="open | ended | a state")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: Annotated[str | None, Query(description="`next` of the page before")] = None,
) -> SessionPage:
    """Sessions, newest first."""
    if state not in (None, "open", "ended", "assigned", "active", "ending"):
        raise ApiError(
            422, "bad_request",
            f"state: got {state!r}, expected open, ended, assigned, active or ending",
        )  # fmt: skip
    cursor = None
    if before is not None:
        match = _CURSOR.match(before)
        if match is None:
            raise ApiError(422, "bad_request", f"before: got {before[:60]!r}, expected a `next`")
        cursor = (int(match[1]), match[2])
    store = caller.orchestrator.journal.store
    rows = await store.list_sessions(
        caller.org, agent=agent, state=state, limit=limit + 1, before=cursor
    )
    page, more = rows[:limit], len(rows) > limit
    last = f"{page[-1].requested_ms}_{page[-1].session_id}" if more else None
    return SessionPage(sessions=[_session(caller, r) for r in page], next=last)


def _session(caller: Caller, row: SessionRow) -> SessionView:
    live = caller.orchestrator.book.sessions.get(row.session_id)
    return session_view(live_over(row, live) if live is not None else row, now().wall_ms)


async def _row(caller: Caller, session_id: str) -> SessionRow:
    row = await caller.orchestrator.journal.store.session(caller.org, session_id)
    if row is None:
        raise ApiError(404, "unknown_session", f"No session {session_id[:60]!r}")
    return row


@router.get("/sessions/{session_id}", tags=["sessions"])
async def show_session(session_id: str, caller: Private) -> SessionDetail:
    """One session with its events in order."""
    row = await _row(caller, session_id)
    events = await caller.orchestrator.journal.store.events_of(caller.org, session_id)
    return SessionDetail(
        **_session(caller, row).model_dump(),
        call=_json(row.call),
        data=_json(row.data),
        events=[event_view(e) for e in events],
    )


@router.post("/sessions/{session_id}/end", tags=["sessions"])
async def end_session(
    session_id: str, caller: Private, request: EndRequest | None = None
) -> SessionView:
    """End a live session; ending an ended one changes nothing."""
    row = await _row(caller, session_id)
    detail = request.reason if request is not None else ""
    caller.orchestrator.end(session_id, "terminated", detail)
    return _session(caller, row)


@router.get("/usage", tags=["sessions"])
async def usage(
    caller: Private,
    agent: str | None = None,
    since_ms: Annotated[int, Query(ge=0, le=10**15)] = 0,
    until_ms: Annotated[int, Query(ge=0, le=10**15)] = 10**15,
) -> list[UsageView]:
    """Seconds spent instantiating, running and tearing down, per agent."""
    store = caller.orchestrator.journal.store
    rows = await store.usage(
        caller.org, agent=agent, since_ms=since_ms, until_ms=min(until_ms, now().wall_ms)
    )
    return [
        UsageView(
            agent=u.agent,
            sessions=u.sessions,
            instantiating_s=u.instantiating_ms / 1000,
            running_s=u.running_ms / 1000,
            tearing_down_s=u.tearing_down_ms / 1000,
        )
        for u in rows
    ]


@router.get("/organization", tags=["keys"])
async def show_organization(caller: Private) -> OrganizationView:
    """The organization of the key. A key belongs to one, and reaches nothing of another."""
    known = await caller.orchestrator.journal.store.organizations()
    found = next((o for o in known if o.org_id == caller.org), None)
    if found is None:
        raise ApiError(404, "unknown_organization", f"No organization {caller.org!r}")
    return organization_view(found)


@router.get("/keys", tags=["keys"])
async def list_keys(caller: Private) -> list[KeyView]:
    """Keys of the organization. Only public ones show their text."""
    return [key_view(k) for k in caller.keyring.list(caller.org)]


@router.post("/keys", tags=["keys"], status_code=201)
async def create_key(request: NewKey, caller: Private) -> KeyView:
    """A new key. Its text is shown here and, unless it is public, never again."""
    if request.agents and request.scope is Scope.PRIVATE:
        raise ApiError(
            422,
            "bad_request",
            f"agents: got {request.agents!r}, expected none for a private key: it manages all",
        )
    expires_ms = None
    if request.expires_in_s is not None:
        expires_ms = now().wall_ms + int(request.expires_in_s * 1000)
    key, text = await caller.keyring.create(
        caller.org, request.name, request.scope, agents=tuple(request.agents), expires_ms=expires_ms
    )
    return key_view(key, text)


def _key(caller: Caller, key_id: str) -> Key:
    key = caller.keyring.by_id(caller.org, key_id)
    if key is None:
        raise ApiError(404, "unknown_key", f"No key {key_id[:60]!r}")
    return key


@router.delete("/keys/{key_id}", tags=["keys"])
async def revoke_key(key_id: str, caller: Private) -> KeyView:
    """Revoke a key: it opens nothing from this instant on. Live sessions go on.

    Control sockets that it opened are closed with 4001: their runners finish their calls and stop.
    """
    revoked = await caller.keyring.revoke(_key(caller, key_id))
    caller.orchestrator.close_refused()
    return key_view(revoked)


@router.post(
    "/keys/{key_id}/roll",
    tags=["keys"],
    status_code=201,
    responses=errors({409: "The key is revoked or expired"}),
)
async def roll_key(key_id: str, caller: Private) -> KeyView:
    """Replace a key by a new one of the same name, scope, reach and expiry; the old one is revoked.

    A key that is revoked or expired is not replaced: create a new one.
    """
    old = _key(caller, key_id)
    rolled = await caller.keyring.roll(old)
    if isinstance(rolled, Over):
        raise ApiError(
            409, f"key_{rolled}", f"Key {old.name!r} ({key_id}) is {rolled}; create a new one"
        )
    key, text = rolled
    caller.orchestrator.close_refused()
    return key_view(key, text)


def _json(raw: bytes) -> Any:
    return msgspec.json.decode(raw)


def _plain(struct: Any) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(struct)
    return plain
