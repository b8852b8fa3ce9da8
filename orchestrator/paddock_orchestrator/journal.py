"""Writes down what happens to sessions, and tells those who follow, once it is durable."""

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec

from paddock_orchestrator.state.book import PUBLIC_STATE, Instant, Session
from paddock_orchestrator.store.records import EventRow, SessionChange, SessionRow
from paddock_orchestrator.store.seen import SeenKeys
from paddock_orchestrator.store.store import Store

_MAX_UNSAVED = 100_000
_CHECKPOINT = 50
_encode = msgspec.json.Encoder().encode


class _Unsaved(msgspec.Struct, eq=False):
    """An end that could not be written yet: a full disk must not lose it while we live."""

    record: SessionRow | SessionChange
    events: tuple[EventRow, ...]
    done: Callable[[], None] | None


class Journal:
    """The one writer of session rows and events. Never blocks, never raises into dispatch."""

    def __init__(self, store: Store, *, last_event_id: int, seen: SeenKeys) -> None:
        self.store = store
        self._seen = seen
        self._event_id = last_event_id
        self._followers: set[asyncio.Queue[EventRow | None]] = set()
        self._unsaved: deque[_Unsaved] = deque()

    def started(
        self, session: Session, durable: Callable[[], None], failed: Callable[[Exception], None]
    ) -> None:
        """Record the session with its present runner; one of the two is called in the end."""
        if session.idempotency_key is not None:
            self._seen.add(session.pool.org, session.pool.agent, session.idempotency_key)
        self.store.start_session(_row(session), durable, failed)

    def may_be_used(self, org: str, agent: str, key: str) -> bool:
        """False: no session was started with this idempotency key."""
        return self._seen.may_have(org, agent, key)

    async def used(self, org: str, agent: str, key: str) -> SessionRow | None:
        """The session that was started with this idempotency key, if one was."""
        return await self.store.find_idempotent(org, agent, key)

    def ended(self, session: Session, now: Instant, done: Callable[[], None] | None = None) -> None:
        """Record the end; `done` is called once it is durable."""
        reason, detail = session.end or ("", "")
        session.ended_ms = session.ended_ms or now.wall_ms
        session.torn_down_ms = session.torn_down_ms or now.wall_ms
        data = {
            "reason": reason,
            "detail": detail,
            "runner": session.last_runner_id,
            "requested_ms": session.requested.wall_ms,
            "assigned_ms": session.assigned_ms,
            "started_ms": session.started_ms,
            "ended_ms": session.ended_ms,
            "torn_down_ms": session.torn_down_ms,
        }
        event = self._event(
            session.pool.org, "session.ended", session.pool.agent, session.session_id, data, now
        )
        record = _row(session) if session.refused else _change(session, "ended")
        self._save(_Unsaved(record, (event,), done))

    def checkpoint(self, sessions: set[Session]) -> None:
        """Write what changed about sessions that go on, `_CHECKPOINT` of them at a time.

        A restart of thousands must not fill the store's queue: that is what starts need.
        """
        if self.healthy:
            for _ in range(len(self._unsaved)):
                self._save(self._unsaved.popleft())
        for _ in range(min(len(sessions), _CHECKPOINT)):
            session = sessions.pop()
            session.dirty = False
            self.store.change_soon(_change(session, PUBLIC_STATE[session.stage]))

    def note(
        self,
        org: str,
        kind: str,
        agent: str,
        session_id: str | None,
        data: dict[str, object],
        now: Instant,
    ) -> None:
        """A line of history. May be lost if the store cannot write."""
        event = self._event(org, kind, agent, session_id, data, now)
        self.store.append_soon((event,), on_commit=lambda: self._publish((event,)))

    def follow(self) -> "asyncio.Queue[EventRow | None]":
        """Every event from now on, once durable. None in the queue: too slow, resume by id."""
        queue: asyncio.Queue[EventRow | None] = asyncio.Queue(maxsize=1000)
        self._followers.add(queue)
        return queue

    def unfollow(self, queue: "asyncio.Queue[EventRow | None]") -> None:
        self._followers.discard(queue)

    def dismiss_followers(self) -> None:
        """The server stops: those who follow are to come again."""
        for queue in self._followers:
            if not queue.full():
                queue.put_nowait(None)
        self._followers.clear()

    @property
    def healthy(self) -> bool:
        """Whether a start can be made durable now."""
        return self.store.ok

    @property
    def unsaved(self) -> int:
        return len(self._unsaved)

    def _event(
        self,
        org: str,
        kind: str,
        agent: str,
        session_id: str | None,
        data: dict[str, object],
        now: Instant,
    ) -> EventRow:
        self._event_id += 1
        return EventRow(self._event_id, org, now.wall_ms, kind, agent, session_id, _encode(data))

    def _save(self, item: _Unsaved) -> None:
        def saved() -> None:
            if item.done is not None:
                item.done()
            self._publish(item.events)

        def failed(_: Exception) -> None:
            if len(self._unsaved) < _MAX_UNSAVED:
                self._unsaved.append(item)

        store, record = self.store, item.record
        if isinstance(record, SessionRow):
            store.put_soon(record, item.events, on_commit=saved, on_failure=failed)
        else:
            store.change_soon(record, item.events, on_commit=saved, on_failure=failed)

    def _publish(self, events: tuple[EventRow, ...]) -> None:
        for queue in list(self._followers):
            for event in events:
                try:
                    queue.put_nowait(event)
                except asyncio.QueueFull:
                    self._followers.discard(queue)
                    queue.get_nowait()
                    queue.put_nowait(None)
                    break


def _row(session: Session) -> SessionRow:
    """The whole row. One that was refused gives its idempotency key back."""
    reason, detail = session.end or (None, None)
    return SessionRow(
        session_id=session.session_id,
        org_id=session.pool.org,
        agent=session.pool.agent,
        state="ended" if session.refused else "assigned",
        attempt=session.attempt,
        runner_id=session.last_runner_id,
        instance=session.last_instance,
        requested_ms=session.requested.wall_ms,
        max_duration_s=session.max_duration_s,
        call=session.call,
        data=session.data or b"{}",
        idempotency_key=None if session.refused else session.idempotency_key,
        body_digest=session.body_digest,
        assigned_ms=session.assigned_ms,
        ended_ms=session.ended_ms,
        torn_down_ms=session.torn_down_ms,
        end_reason=str(reason) if reason is not None else None,
        end_detail=detail,
    )


def _change(session: Session, state: str) -> SessionChange:
    reason, detail = session.end or (None, None)
    return SessionChange(
        session_id=session.session_id,
        state=state,
        attempt=session.attempt,
        runner_id=session.last_runner_id,
        instance=session.last_instance,
        assigned_ms=session.assigned_ms,
        started_ms=session.started_ms,
        ended_ms=session.ended_ms,
        torn_down_ms=session.torn_down_ms,
        end_reason=str(reason) if reason is not None else None,
        end_detail=detail,
    )
