"""The lines of live sessions: which sockets belong to which session's relay."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from paddock.protocol import bridge, closing
from paddock.protocol.codec import encode
from paddock_orchestrator.links.outbox import Outbox
from paddock_orchestrator.state.relay import (
    AgentEnds,
    CallerAhead,
    CallerEnds,
    Output,
    Relay,
    ToCaller,
    ToRunner,
)

log = logging.getLogger("paddock.text")


@dataclass(slots=True, eq=False)
class Line:
    """One session's relay and the sockets that are connected to it now."""

    session_id: str
    relay: Relay = field(default_factory=Relay)
    runner: Outbox | None = None
    caller: Outbox | None = None
    away: asyncio.TimerHandle | None = None
    """Running while the caller is away without having hung up."""


class Switchboard:
    """Lines by session. `agent_ends` and `caller_ends` report what the relay found out."""

    def __init__(
        self,
        *,
        agent_ends: Callable[[str, str], None],
        caller_ends: Callable[[str, str], None],
        caller_grace_s: float,
    ) -> None:
        self._lines: dict[str, Line] = {}
        self._agent_ends = agent_ends
        self._caller_ends = caller_ends
        self._caller_grace_s = caller_grace_s

    def line(self, session_id: str) -> Line:
        line = self._lines.get(session_id)
        if line is None:
            line = self._lines[session_id] = Line(session_id)
        return line

    @property
    def bridges(self) -> int:
        return sum(line.runner is not None for line in self._lines.values())

    @property
    def callers(self) -> int:
        return sum(line.caller is not None for line in self._lines.values())

    def carry_out(self, line: Line, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case ToCaller(frame):
                    _tell(line.caller, frame)
                case ToRunner(frame):
                    _tell(line.runner, frame)
                case AgentEnds(reason):
                    self._agent_ends(line.session_id, reason)
                case CallerEnds():
                    self._caller_ends(line.session_id, "hangup")
                case CallerAhead():
                    _refuse_more(line)

    def runner_in(self, line: Line, outbox: Outbox, hello: bridge.Hello) -> None:
        """The bridge is open; an older socket of it is replaced."""
        if line.runner is not None:
            line.runner.close(closing.SUPERSEDED, "a newer bridge of the same session")
        line.runner = outbox
        self.carry_out(line, line.relay.runner_opened(hello))

    def runner_out(self, line: Line, outbox: Outbox) -> bool:
        """The bridge closed; False when it had been replaced already."""
        if line.runner is not outbox:
            return False
        line.runner = None
        line.relay.runner_closed()
        return True

    def caller_in(self, line: Line, outbox: Outbox, received: int) -> None:
        """The caller's channel is open; an older one of it is replaced."""
        if line.caller is not None:
            line.caller.close(closing.SUPERSEDED, "a newer text channel of the same session")
        if line.away is not None:
            line.away.cancel()
            line.away = None
        line.caller = outbox
        self.carry_out(line, line.relay.caller_opened(received))

    def caller_out(self, line: Line, outbox: Outbox, *, clean: bool) -> None:
        """The caller's channel closed. A clean close hangs up; a lost one may come back."""
        if line.caller is not outbox:
            return
        line.caller = None
        line.relay.caller_closed()
        if line.session_id not in self._lines:
            return
        if clean:
            self._caller_ends(line.session_id, "hangup")
            return
        line.away = asyncio.get_running_loop().call_later(
            self._caller_grace_s, self._caller_ends, line.session_id, "caller_lost"
        )

    def close_runner(self, session_id: str, reason: str, detail: str) -> None:
        """Close the runner's side; the caller's goes on until the session has ended."""
        line = self._lines.get(session_id)
        if line is not None and line.runner is not None:
            if line.relay.numbered:
                _tell(line.runner, bridge.CallEnded(reason=reason, detail=detail))
            line.runner.close(closing.NORMAL, reason)

    def end(self, session_id: str, reason: str, detail: str) -> None:
        """The session is over: both sides hear why and are closed."""
        self.close_runner(session_id, reason, detail)
        line = self._lines.pop(session_id, None)
        if line is None:
            return
        if line.away is not None:
            line.away.cancel()
        if line.caller is not None:
            _tell(line.caller, bridge.CallEnded(reason=reason, detail=detail))
            line.caller.close(closing.NORMAL, reason)

    def close_all(self) -> None:
        """The server stops: every socket is told to come again."""
        for line in self._lines.values():
            for outbox in (line.runner, line.caller):
                if outbox is not None:
                    outbox.close(closing.RESTART, "restart")
            if line.away is not None:
                line.away.cancel()


def _refuse_more(line: Line) -> None:
    """The call goes on, and the caller may come again for it at once."""
    log.info("caller_ahead", extra={"session": line.session_id})
    if line.caller is not None:
        line.caller.close(closing.TRY_AGAIN_LATER, "the agent does not take so much now")


def _tell(outbox: Outbox | None, frame: msgspec.Struct) -> None:
    if outbox is not None:
        outbox.text(encode(frame))
