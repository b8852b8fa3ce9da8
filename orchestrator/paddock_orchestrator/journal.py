"""Writes down what happens to sessions, and tells those who follow, once it is durable."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from paddock_orchestrator.state.book import PUBLIC_STATE, Instant, Session
from paddock_orchestrator.store.errors import StoreError
from paddock_orchestrator.store.records import EventRow, SessionChange, SessionRow
from paddock_orchestrator.store.store import Store

log = logging.getLogger("paddock.journal")

_MAX_UNSAVED = 100_000
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True, eq=False)
class _Unsaved:
    """An end that could not be written yet: a full disk must not lose it while we live."""

    record: SessionRow | SessionChange
    events: tuple[EventRow, ...]
    done: Callable[[], None] | None


class Journal:
    """The one writer of session rows and events. Never blocks, never raises into dispatch."""

    def __init__(self, store: Store, *, last_event_id: int) -> None:
        self.store = store
        self._event_id = last_event_id
        self._followers: set[asyncio.Queue[EventRow | None]] = set()
        self._unsaved: deque[_Unsaved] = deque()

    def started(self, session: Session) -> asyncio.Future[None]:
        """Record the session with its present runner; done when durable."""
        return self.store.record_started(_row(session))

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
        """Write what changed about sessions that go on."""
        while self._unsaved and self.store.health().ok:
            self._save(self._unsaved.popleft())
        for session in sessions:
            session.dirty = False
            self._quietly(self.store.record_changed(_change(session, PUBLIC_STATE[session.stage])))
        sessions.clear()

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
        saving = self.store.append_events((event,))
        saving.add_done_callback(lambda f: self._published(f, (event,)))

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
        return self.store.health().ok

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
        if isinstance(item.record, SessionRow):
            saving = self.store.record_started(item.record, item.events)
        else:
            saving = self.store.record_changed(item.record, item.events)

        def saved(future: asyncio.Future[None]) -> None:
            if future.cancelled():
                return
            if future.exception() is not None:
                if len(self._unsaved) < _MAX_UNSAVED:
                    self._unsaved.append(item)
                return
            if item.done is not None:
                item.done()
            self._published(future, item.events)

        saving.add_done_callback(saved)

    def _published(self, future: asyncio.Future[None], events: tuple[EventRow, ...]) -> None:
        if future.cancelled() or future.exception() is not None:
            return
        for queue in list(self._followers):
            for event in events:
                try:
                    queue.put_nowait(event)
                except asyncio.QueueFull:
                    self._followers.discard(queue)
                    queue.get_nowait()
                    queue.put_nowait(None)
                    break

    @staticmethod
    def _quietly(future: asyncio.Future[None]) -> None:
        def seen(done: asyncio.Future[None]) -> None:
            if not done.cancelled() and isinstance(done.exception(), StoreError):
                log.debug("checkpoint_failed")

        future.add_done_callback(seen)


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
        end_reason=reason,
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
        end_reason=reason,
        end_detail=detail,
    )
