"""The caller's side of a session: say things, hear the agent, hang up.

Lost sockets are dialled again. What the agent said meanwhile is delivered then, each event once and
in order, and what the caller said reaches the agent once.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from paddock._bridge import Ending
from paddock._tls import tls_for
from paddock.errors import (
    ChannelLost,
    ConfigurationError,
    SessionEnded,
    SessionStalled,
    Unauthorized,
    Unreachable,
)
from paddock.options import websocket_base
from paddock.protocol import bridge, closing
from paddock.protocol.backoff import Backoff
from paddock.protocol.bridge import (
    AgentFiller,
    AgentInterrupt,
    AgentRecording,
    AgentSay,
    AgentTextDelta,
    AgentTextEnd,
    AgentTransfer,
    State,
)
from paddock.protocol.codec import MAX_FRAME_BYTES, ProtocolError, Unknown, encode
from paddock.protocol.stream import Incoming, Outgoing, Overflow

__all__ = [
    "AgentEvent", "AgentFiller", "AgentInterrupt", "AgentRecording", "AgentSay", "AgentTextDelta",
    "AgentTextEnd", "AgentTransfer", "Ending", "State", "TextChannel",
]  # fmt: skip

AgentEvent = (
    AgentSay | AgentTextDelta | AgentTextEnd | AgentTransfer | AgentInterrupt | AgentFiller
    | AgentRecording | State
)  # fmt: skip
"""What an iteration over a channel yields."""

DIAL_TIMEOUT_S = 5.0
FIRST_DIAL_TIMEOUT_S = 20.0
"""It is not repeated, and the session has a runner already: slowness alone must not lose it."""
GIVE_UP_AFTER_S = 30.0
"""The orchestrator counts a caller who is away for longer as one who hung up."""
_ACK_EVERY = 16
_DIAL_ERRORS = (OSError, TimeoutError, InvalidHandshake, ConnectionClosed, ProtocolError)
_HOPELESS = {
    closing.SUPERSEDED: "another caller took this session's text channel over",
    closing.PROTOCOL_VIOLATION: "the orchestrator does not understand this client: update one",
}


@dataclass(eq=False)
class TextChannel:
    """One session's text channel. Iterate it in one task; say and hang up from any.

    `ended` is None while the call is on. Iteration stops when the call has ended.
    """

    url: str
    token: str
    give_up_after_s: float = GIVE_UP_AFTER_S
    session_id: str = ""
    agent: str = ""
    state: str = ""
    """The session's state when the channel was last opened."""
    ended: Ending | None = None

    def __post_init__(self) -> None:
        self._outgoing: Outgoing[Any] = Outgoing()
        self._incoming = Incoming()
        self._socket: ClientConnection | None = None
        # Frames must leave in the order of their numbers: the other side drops what is out of it.
        self._sending = asyncio.Lock()
        self._hung_up = False
        self._closed = False

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(
        cls, text_url: str, token: str, *, give_up_after_s: float = GIVE_UP_AFTER_S
    ) -> AsyncIterator[Self]:
        """The open channel of a session; leaving the block hangs up.

        Raises `Unauthorized` for a token that is not the session's, `Unreachable` without an
        orchestrator. A session that is over already gives a channel that has `ended`.
        """
        channel = cls(websocket_base(text_url), token, give_up_after_s)
        await channel._open_first()
        try:
            yield channel
        finally:
            await channel.close()

    def is_live(self) -> bool:
        """Whether the call is on, as far as is known here."""
        return self.ended is None

    async def say(self, text: str, *, final: bool = True) -> None:
        """Say something; `final=False` is a partial transcript of what is being said.

        Raises `SessionEnded` after the call, `SessionStalled` when nothing is taken any more.
        """
        await self._send(bridge.UserText, text=text, is_final=final)

    async def interrupt(self, heard: str | None = None) -> None:
        """Cut the agent short; `heard` is how much of its reply was heard."""
        await self._send(bridge.UserInterrupted, heard_prefix=heard)

    async def hangup(self) -> None:
        """End the call. Iterate on to learn how it ended."""
        if self.ended is not None or self._hung_up:
            return
        async with self._sending:
            self._hung_up = True
            await self._transmit(bridge.UserHangup())

    async def close(self) -> None:
        """Hang up if the call is on, and close the socket."""
        self._closed = True
        await self.hangup()
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close(closing.NORMAL)

    def __aiter__(self) -> AsyncIterator[AgentEvent]:
        return self._events()

    async def _events(self) -> AsyncIterator[AgentEvent]:
        while self.ended is None and not self._closed:
            socket = self._socket
            if socket is None:
                await self._open_again()
                continue
            try:
                frame = bridge.to_caller.parse(await socket.recv())
            except ConnectionClosed:
                self._lost(socket)
                continue
            except ProtocolError as why:
                raise ChannelLost(f"the orchestrator sent what is no frame: {why}") from None
            event = await self._received(frame)
            if event is not None:
                yield event

    async def _received(self, frame: bridge.ToCaller | Unknown) -> AgentEvent | None:
        if isinstance(frame, Unknown | bridge.Ready):
            return None
        if isinstance(frame, bridge.Ack):
            self._outgoing.acknowledge(frame.seq)
            return None
        if isinstance(frame, bridge.CallEnded):
            self.ended = Ending(frame.reason, frame.detail)
            return None
        if isinstance(frame, bridge.AgentEndCall):
            return None
        if isinstance(frame, State):
            return frame
        new = self._incoming.accept(frame.seq)
        every = _ACK_EVERY if new and isinstance(frame, AgentTextDelta) else 1
        due = self._incoming.ack_due(every) if new else self._incoming.received
        if due is not None:
            async with self._sending:
                await self._transmit(bridge.Ack(seq=due))
        return frame if new else None

    async def _send(self, kind: type[Any], **fields: Any) -> None:
        if self.ended is not None:
            raise SessionEnded(self.ended.reason, self.ended.detail)
        if self._hung_up:
            raise SessionEnded("completed", "hangup")
        async with self._sending:
            try:
                seq = self._outgoing.next()
            except Overflow as why:
                raise SessionStalled(str(why)) from None
            await self._transmit(self._outgoing.keep(kind(**fields, seq=seq)))

    async def _transmit(self, frame: Any) -> None:
        """Send if there is a socket; what is kept goes out again on the next one."""
        socket = self._socket
        if socket is None:
            return
        # The reader finds a closed socket by itself, after what arrived before the close.
        with contextlib.suppress(ConnectionClosed):
            await socket.send(encode(frame))

    def _lost(self, socket: ClientConnection) -> None:
        if self._socket is socket:
            self._socket = None
        hopeless = _HOPELESS.get(socket.close_code or 0)
        if hopeless is not None and not self._closed:
            raise ChannelLost(hopeless)

    async def _open_first(self) -> None:
        try:
            await self._open(FIRST_DIAL_TIMEOUT_S)
        except _BadToken as why:
            raise Unauthorized(
                closing.BAD_TOKEN, "bad_token", f"the text channel refused its token: {why}"
            ) from None
        except InvalidURI:
            raise ConfigurationError(f"text_url: got {self.url!r}, expected a ws:// URL") from None
        except _DIAL_ERRORS as why:
            shown = str(why) or type(why).__name__
            raise Unreachable(0, "unreachable", f"no text channel at {self.url}: {shown}") from None

    async def _open_again(self) -> None:
        backoff = Backoff(first_s=0.1, ceiling_s=2.0)
        loop = asyncio.get_running_loop()
        until = loop.time() + self.give_up_after_s
        while self._socket is None and self.ended is None and not self._closed:
            await asyncio.sleep(backoff.next(random.random()))
            try:
                await self._open(DIAL_TIMEOUT_S)
            except _BadToken:
                self.ended = Ending("error", "the orchestrator no longer knows the session")
            except _DIAL_ERRORS as why:
                if loop.time() >= until:
                    raise ChannelLost(
                        f"no way back to the call for {self.give_up_after_s:g} s "
                        f"({str(why) or type(why).__name__})"
                    ) from None

    async def _open(self, timeout_s: float) -> None:
        """Dial, learn what the agent has, and send it what it has not."""
        asked = urlencode({"token": self.token, "received": self._incoming.received})
        socket = await connect(
            f"{self.url}?{asked}", open_timeout=timeout_s, max_size=MAX_FRAME_BYTES,
            compression=None, ping_interval=10, ping_timeout=15, close_timeout=2, proxy=None,
            ssl=tls_for(self.url),
        )  # fmt: skip
        try:
            async with asyncio.timeout(timeout_s):
                first = bridge.to_caller.parse(await socket.recv())
            if isinstance(first, bridge.CallEnded):
                self.ended = Ending(first.reason, first.detail)
                await socket.close()
                return
            if not isinstance(first, bridge.Ready):
                raise ProtocolError("event", type(first).__name__, "ready")
            await self._take_up(socket, first)
        except ConnectionClosed as closed:
            if closed.rcvd is not None and closed.rcvd.code == closing.BAD_TOKEN:
                raise _BadToken(closed.rcvd.reason) from None
            raise
        except BaseException:
            await socket.close()
            raise

    async def _take_up(self, socket: ClientConnection, ready: bridge.Ready) -> None:
        self.session_id, self.agent, self.state = ready.session_id, ready.agent, ready.state
        self._incoming.acknowledged = self._incoming.received
        async with self._sending:
            self._outgoing.acknowledge(ready.received)
            for frame in self._outgoing.unacknowledged():
                await socket.send(encode(frame))
            if self._hung_up:
                await socket.send(encode(bridge.UserHangup()))
            self._socket = socket


class _BadToken(Exception):
    """The server will not have this token."""
