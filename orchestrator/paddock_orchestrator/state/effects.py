"""What the state machine wants done. The shell carries these out in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from paddock_orchestrator.dispatch.refusal import Refused
    from paddock_orchestrator.state.book import Runner, Session


class Send(msgspec.Struct, frozen=True, gc=False):
    """A frame to a runner. Lost with its socket; what must not be lost is sent again."""

    runner: Runner
    frame: msgspec.Struct


class CloseSocket(msgspec.Struct, frozen=True, gc=False):
    socket: int
    code: int
    reason: str


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The start is decided: accepted (`refused` None), once its row is durable, or refused."""

    session: Session
    refused: Refused | None = None


class Offer(msgspec.Struct, frozen=True, gc=False):
    """Offer the session to its runner, and record it: it may be accepted any moment."""

    session: Session
    timeout_s: float


class Ended(msgspec.Struct, frozen=True, gc=False):
    """Record the end. `runner` and `seq`: acknowledge the runner's event once that is durable."""

    session: Session
    runner: Runner | None = None
    seq: int = 0


class AckEvent(msgspec.Struct, frozen=True, gc=False):
    """Acknowledge a runner's event; nothing needs to be durable for it."""

    runner: Runner
    seq: int


class EndBridge(msgspec.Struct, frozen=True, gc=False):
    """Tell both sides of the bridge that the call is over and close them."""

    session_id: str
    reason: str
    detail: str


class CloseBridge(msgspec.Struct, frozen=True, gc=False):
    """Close the runner's side of the bridge: the call is over, say why if it can hear it."""

    session_id: str
    reason: str
    detail: str


class Note(msgspec.Struct, frozen=True, gc=False):
    """A line for the organization's history."""

    org: str
    kind: str
    agent: str
    session_id: str | None
    data: dict[str, object]


class QueueChanged(msgspec.Struct, frozen=True, gc=False):
    """The pool's queue grew or shrank: runners that asked for it hear, and so do autoscalers."""

    pool_key: tuple[str, str]
    left_zero: bool


Effect = (
    Send
    | CloseSocket
    | Answer
    | Offer
    | Ended
    | AckEvent
    | EndBridge
    | CloseBridge
    | Note
    | QueueChanged
)
