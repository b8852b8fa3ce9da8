"""The bridge of one session: dial, shake hands, and keep it alive through lost sockets."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from paddock._tls import tls_for
from paddock.errors import SessionEnded, SessionStalled
from paddock.protocol import bridge, closing, features
from paddock.protocol.backoff import Backoff
from paddock.protocol.codec import MAX_FRAME_BYTES, ProtocolError, Unknown, encode
from paddock.protocol.stream import Incoming, Outgoing, Overflow

log = logging.getLogger("paddock.bridge")

DIAL_TIMEOUT_S = 5.0
HANDSHAKE_TIMEOUT_S = 10.0
_DIAL_ERRORS = (OSError, TimeoutError, InvalidHandshake, ConnectionClosed, ProtocolError)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended."""

    reason: str
    detail: str = ""


@dataclass(eq=False)
class BridgeLink:
    """One session's bridge. Frames sent while it is away go out, in order, when it is back."""

    url: str
    token: str
    on_event: Callable[[Any], None]
    """Called with every event of the other side, in order, each once."""
    over: asyncio.Future[Ending] = field(default_factory=lambda: asyncio.Future())
    """Done when the call is over, whoever ended it."""
    features: frozenset[str] = frozenset()
    recording: bool = False
    _outgoing: Outgoing[Any] = field(default_factory=Outgoing)
    _incoming: Incoming = field(default_factory=Incoming)
    _socket: ClientConnection | None = None
    _sent: int = 0
    """Highest number transmitted on the present socket."""
    _sending: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def dial(self) -> bridge.CallStarted:
        """Open the bridge for the first time.

        Tries until it succeeds, the server refuses the token (`SessionEnded`), or the task is
        cancelled: an orchestrator that restarts must not cost the call.
        """
        backoff = Backoff(first_s=0.1, ceiling_s=2.0)
        while True:
            try:
                return await self._open()
            except _Refused as why:
                raise SessionEnded("cancelled", str(why)) from None
            except InvalidURI as why:
                raise SessionEnded(
                    "error", f"bridge_url: {self.url!r} is no WebSocket URL"
                ) from why
            except _DIAL_ERRORS as why:
                log.info("bridge_dial_failed", extra={"why": str(why) or type(why).__name__})
            await asyncio.sleep(backoff.next(random.random()))

    async def serve(self) -> None:
        """Read events until the call is over, dialling again whenever the socket is lost."""
        backoff = Backoff(first_s=0.1, ceiling_s=2.0)
        while not self.over.done():
            socket = self._socket
            if socket is not None:
                await self._read(socket)
                self._socket = None
                if self.over.done():
                    return
            try:
                await self._open(resume=True)
                backoff.reset()
                continue
            except _Refused:
                self.end("error", "the orchestrator no longer knows the session")
                return
            except _DIAL_ERRORS as why:
                log.info("bridge_resume_failed", extra={"why": str(why) or type(why).__name__})
            await asyncio.sleep(backoff.next(random.random()))

    async def send(self, kind: type[Any], **fields: Any) -> None:
        """Send a verb; while the bridge is away it is kept and sent on its return.

        Raises `SessionEnded` after the call, `SessionStalled` when too much is unacknowledged.
        """
        if self.over.done():
            ending = self.over.result()
            raise SessionEnded(ending.reason, ending.detail)
        if features.RESUME in self.features:
            try:
                seq = self._outgoing.next()
            except Overflow as why:
                raise SessionStalled(str(why)) from None
            self._outgoing.keep(kind(**fields, seq=seq))
            await self._flush()
        else:
            await self._transmit(kind(**fields))

    def end(self, reason: str, detail: str = "") -> None:
        """The call is over as far as this side is concerned. The first word stays."""
        if not self.over.done():
            self.over.set_result(Ending(reason, detail))

    async def close(self) -> None:
        """Close the socket, waiting briefly for the other side's close."""
        self.end("completed")
        socket, self._socket = self._socket, None
        if socket is not None:
            try:
                async with asyncio.timeout(2.0):
                    await socket.close(closing.NORMAL)
            except (TimeoutError, ConnectionClosed):
                pass

    async def _flush(self) -> None:
        """Transmit what the present socket has not carried yet, in order.

        One at a time: a frame that overtook an older one would make the other side drop it.
        """
        async with self._sending:
            for frame in self._outgoing.after(self._sent):
                if self._socket is None:
                    return
                self._sent = frame.seq
                await self._transmit(frame)

    async def _transmit(self, frame: msgspec.Struct) -> None:
        socket = self._socket
        if socket is None:
            return
        try:
            await socket.send(encode(frame))
        except ConnectionClosed:
            # `serve` notices too; a numbered frame goes out again after the resume.
            if self._socket is socket:
                self._socket = None

    async def _open(self, *, resume: bool = False) -> bridge.CallStarted:
        separator = "&" if "?" in self.url else "?"
        url = f"{self.url}{separator}{urlencode({'token': self.token})}"
        socket = await connect(
            url, open_timeout=DIAL_TIMEOUT_S, max_size=MAX_FRAME_BYTES, compression=None,
            ping_interval=10, ping_timeout=15, close_timeout=2, proxy=None, ssl=tls_for(url),
        )  # fmt: skip
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                started = await self._shake_hands(socket, resume)
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else 1006
            if code == closing.BAD_TOKEN:
                raise _Refused(closed.rcvd.reason if closed.rcvd else "") from None
            raise
        except BaseException:
            await socket.close()
            raise
        self._socket = socket
        await self._flush()
        return started

    async def _shake_hands(self, socket: ClientConnection, resume: bool) -> bridge.CallStarted:
        hello = bridge.Hello(
            supported_events=bridge.EVENTS,
            supported_verbs=bridge.VERBS,
            features=[features.RESUME, features.CONTROLS],
            received=self._incoming.received,
            resume=resume,
        )
        await socket.send(encode(hello))
        ack = bridge.to_runner.parse(await socket.recv())
        if not isinstance(ack, bridge.HelloAck):
            raise ProtocolError("event", type(ack).__name__, "hello.ack")
        self.features = frozenset(ack.features)
        self.recording = ack.recording
        if resume:
            if features.RESUME not in self.features:
                raise _Refused("the orchestrator cannot resume")
            self._sent = ack.received
            return bridge.CallStarted(session_id=ack.session_id, job_id="", room_id="")
        started = bridge.to_runner.parse(await socket.recv())
        if not isinstance(started, bridge.CallStarted):
            raise ProtocolError("event", type(started).__name__, "call.started")
        return started

    async def _read(self, socket: ClientConnection) -> None:
        """Events of this socket until it closes."""
        try:
            async for message in socket:
                try:
                    frame = bridge.to_runner.parse(message)
                except ProtocolError as why:
                    log.warning("bridge_frame_ignored", extra={"why": str(why)})
                    continue
                await self._received(frame)
        except ConnectionClosed:
            pass
        code = socket.close_code
        if code == closing.NORMAL:
            self.end("completed", "hangup")
        elif code == closing.BAD_TOKEN:
            self.end("error", "the orchestrator no longer knows the session")
        elif features.RESUME not in self.features:
            self.end("completed", "hangup")

    async def _received(self, frame: Any) -> None:
        if isinstance(frame, Unknown):
            return
        if isinstance(frame, bridge.Ack):
            self._outgoing.acknowledge(frame.seq)
            return
        if isinstance(frame, bridge.CallEnded):
            self.end(frame.reason, frame.detail)
            return
        if not self._incoming.accept(getattr(frame, "seq", 0)):
            await self._transmit(bridge.Ack(seq=self._incoming.received))
            return
        self.on_event(frame)
        due = self._incoming.ack_due()
        if due is not None:
            await self._transmit(bridge.Ack(seq=due))


class _Refused(Exception):
    """The server will not have this token any more."""


def utc_ms() -> int:
    return time.time_ns() // 1_000_000
