"""The runner's side of a session: `WS /v1/bridge/{session_id}?token=...`."""

import asyncio
import logging
from typing import Any

import msgspec

from paddock.protocol import bridge, closing, features
from paddock.protocol.codec import ProtocolError, Unknown, encode
from paddock_orchestrator.links.accept import Closed, query, received
from paddock_orchestrator.links.outbox import Outbox, Receive, SendMessage
from paddock_orchestrator.links.switchboard import Line
from paddock_orchestrator.orchestrator import Orchestrator
from paddock_orchestrator.state.book import Session
from paddock_orchestrator.store.errors import StoreError

log = logging.getLogger("paddock.bridge")

HELLO_TIMEOUT_S = 10.0
_OURS = (features.RESUME, features.CONTROLS)


class BridgeSocket:
    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator

    async def __call__(
        self, scope: Any, receive: Receive, send: SendMessage, session_id: str
    ) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        outbox = Outbox(scope, send)
        orchestrator = self._orchestrator
        session = orchestrator.book.sessions.get(session_id)
        token = query(scope).get("token", "")
        attempt = session.attempt if session is not None else 0
        if (
            session is None
            or not session.holds_slot
            or not orchestrator.tokens.is_bridge(token, session_id, attempt)
        ):
            outbox.close(closing.BAD_TOKEN, "unknown, expired or finished session")
            return
        line = orchestrator.switchboard.line(session_id)
        clean = False
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                hello = bridge.from_runner.parse(await received(receive))
            if not isinstance(hello, bridge.Hello):
                raise ProtocolError("event", type(hello).__name__, "hello, first")
            if line.runner is not None and not hello.resume:
                outbox.close(closing.ALREADY_CONNECTED, "the session has a live bridge")
                return
            await self._shake_hands(session, attempt, line, outbox, hello)
            await self._relay(line, outbox, receive)
        except Closed as closed:
            clean = closed.clean
        except ProtocolError as why:
            log.warning("bridge_broke_protocol", extra={"why": str(why), "session": session_id})
            outbox.close(closing.PROTOCOL_VIOLATION, str(why))
        except StoreError:
            outbox.close(closing.RESTART, "the store is out of reach")
        except TimeoutError:
            outbox.close(closing.PROTOCOL_VIOLATION, "no hello within 10 s")
        finally:
            if orchestrator.switchboard.runner_out(line, outbox):
                orchestrator.bridge_lost(session_id, attempt, clean=clean or outbox.closed)
            if not outbox.closed:
                outbox.dropped()

    async def _shake_hands(
        self, session: Session, attempt: int, line: Line, outbox: Outbox, hello: bridge.Hello
    ) -> None:
        session_id, job_id = session.session_id, f"{session.session_id}.{attempt}"
        common = [f for f in _OURS if f in hello.features]
        ack = bridge.HelloAck(
            call_id=session_id,
            session_id=session_id,
            job_id=job_id,
            room_id=f"room-{session_id}",
            negotiated_events=[e for e in bridge.EVENTS if e in hello.supported_events],
            negotiated_verbs=[v for v in bridge.SERVED_VERBS if v in hello.supported_verbs],
            features=common,
            received=line.relay.agent_received,
        )
        outbox.text(encode(ack))
        if not hello.resume:
            started = bridge.CallStarted(
                session_id=session_id,
                job_id=job_id,
                room_id=f"room-{session_id}",
                agent_id=session.pool.agent.removesuffix("@dev"),
                metadata=await self._metadata(session),
            )
            outbox.text(encode(started))
        if not session.holds_slot or session.attempt != attempt:
            outbox.close(closing.BAD_TOKEN, "the session ended or moved on")
            raise Closed(closing.NORMAL)
        self._orchestrator.switchboard.runner_in(line, outbox, hello)
        self._orchestrator.bridge_opened(session_id, attempt)

    async def _metadata(self, session: Session) -> msgspec.Raw:
        """The call's facts with the caller's data under `data`, byte for byte."""
        call, data = session.call, session.data
        if data is None:
            row = await self._orchestrator.journal.store.session(
                session.pool.org, session.session_id
            )
            call, data = (row.call, row.data) if row is not None else (b"{}", b"{}")
        separator = b"," if len(call) > 2 else b""
        return msgspec.Raw(call[:-1] + separator + b'"data":' + data + b"}")

    async def _relay(self, line: Line, outbox: Outbox, receive: Receive) -> None:
        switchboard = self._orchestrator.switchboard
        while True:
            text = await received(receive)
            frame = bridge.from_runner.parse(text)
            if isinstance(frame, Unknown | bridge.Hello):
                continue
            if line.runner is not outbox:
                return
            switchboard.carry_out(line, line.relay.from_runner(frame, len(text)))
