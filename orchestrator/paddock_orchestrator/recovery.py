"""After a restart: the sessions that were open, and the agents that were closed."""

from paddock_orchestrator.state.book import Bridge, Instant, Session, Stage
from paddock_orchestrator.state.effects import Effect
from paddock_orchestrator.state.machine import Dispatcher
from paddock_orchestrator.store.records import SessionRow
from paddock_orchestrator.store.store import Store

_CLOSED = "closed/"
_STAGES = {"assigned": Stage.ASSIGNED, "active": Stage.ACTIVE, "ending": Stage.ENDING}


async def reopen(store: Store, dispatcher: Dispatcher, now: Instant) -> list[Effect]:
    """Put open sessions back as orphans: their runners are about to report what they hold."""
    rows = await store.open_sessions()
    book = dispatcher.book
    sessions = [(_session(dispatcher, row, now), row.runner_id, row.instance) for row in rows]
    effects = dispatcher.recover(sessions, now)
    for name, value in (await store.settings_under(_CLOSED)).items():
        org, _, agent = name.removeprefix(_CLOSED).partition("/")
        if value:
            book.pool((org, agent)).closed = True
    return effects


def closed_setting(org: str, agent: str) -> str:
    """Name of the setting that says an agent was deleted."""
    return f"{_CLOSED}{org}/{agent}"


def _session(dispatcher: Dispatcher, row: SessionRow, now: Instant) -> Session:
    ago_s = max(0, now.wall_ms - row.requested_ms) / 1000.0
    stage = _STAGES.get(row.state, Stage.ASSIGNED)
    return Session(
        session_id=row.session_id,
        pool=dispatcher.book.pool((row.org_id, row.agent)),
        requested=Instant(now.mono - ago_s, row.requested_ms),
        max_duration_s=row.max_duration_s,
        call=row.call,
        data=None if stage is not Stage.ASSIGNED else row.data,
        idempotency_key=row.idempotency_key,
        body_digest=row.body_digest,
        stage=stage,
        attempt=row.attempt,
        assigned_ms=row.assigned_ms,
        started_ms=row.started_ms,
        ended_ms=row.ended_ms,
        bridge=Bridge.NONE,
        recorded=True,
    )
