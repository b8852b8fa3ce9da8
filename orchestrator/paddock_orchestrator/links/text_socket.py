"""The caller's side of a session: `WS /v1/sessions/{session_id}/text?token=...&received=N`."""

import logging
from typing import Any

from paddock.protocol import bridge, closing
from paddock.protocol.codec import ProtocolError, Unknown, encode
from paddock_orchestrator.links.accept import Closed, query, received
from paddock_orchestrator.links.outbox import Outbox, Receive, SendMessage
from paddock_orchestrator.orchestrator import Orchestrator
from paddock_orchestrator.state.book import PUBLIC_STATE
from paddock_orchestrator.store.errors import StoreError

log = logging.getLogger("paddock.text")


class TextSocket:
    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator

    async def __call__(
        self, scope: Any, receive: Receive, send: SendMessage, session_id: str
    ) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        outbox = Outbox(scope, send)
        orchestrator = self._orchestrator
        asked = query(scope)
        seen = asked.get("received", "0")
        if not orchestrator.tokens.is_text(asked.get("token", ""), session_id):
            outbox.close(closing.BAD_TOKEN, "bad token for this session")
            return
        if not seen.isdecimal() or len(seen) > 15:
            outbox.close(closing.PROTOCOL_VIOLATION, f"received={seen[:20]}: expected a number")
            return
        session = orchestrator.book.sessions.get(session_id)
        if session is None:
            await self._ended_already(session_id, outbox)
            return
        line = orchestrator.switchboard.line(session_id)
        ready = bridge.Ready(
            session_id=session_id,
            agent=session.pool.agent,
            state=PUBLIC_STATE[session.stage],
            received=line.relay.caller_received,
        )
        outbox.text(encode(ready))
        orchestrator.switchboard.caller_in(line, outbox, int(seen))
        clean = False
        try:
            while True:
                text = await received(receive)
                frame = bridge.from_caller.parse(text)
                if not isinstance(frame, Unknown) and line.caller is outbox:
                    outputs = line.relay.from_caller(frame, len(text))
                    orchestrator.switchboard.carry_out(line, outputs)
        except Closed as closed:
            clean = closed.clean
        except ProtocolError as why:
            outbox.close(closing.PROTOCOL_VIOLATION, str(why))
        finally:
            orchestrator.switchboard.caller_out(line, outbox, clean=clean)
            if not outbox.closed:
                outbox.dropped()

    async def _ended_already(self, session_id: str, outbox: Outbox) -> None:
        try:
            row = await self._orchestrator.journal.store.find_session(session_id)
        except StoreError:
            outbox.close(closing.RESTART, "the store is out of reach")
            return
        if row is None or row.end_reason is None:
            outbox.close(closing.BAD_TOKEN, "unknown session")
            return
        outbox.text(encode(bridge.CallEnded(reason=row.end_reason, detail=row.end_detail or "")))
        outbox.close(closing.NORMAL, row.end_reason)
