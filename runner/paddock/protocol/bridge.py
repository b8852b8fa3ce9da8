"""Frames of the bridge, and of its other side the text channel: one JSON object, by `event`.

Names without a remark are those of the v2 bridge. `seq` numbers a side's frames from 1 when both
sides have the feature `resume`; 0 is unnumbered. Numbers are end to end: the orchestrator passes
the agent's numbers to the caller and the caller's to the agent, so that either of the three
processes can be replaced in the middle of a call and nothing is lost or said twice.
"""

from typing import Any, Literal

import msgspec

from paddock.protocol.codec import Direction

PROTOCOL_VERSION = 2
EVENTS = [
    "user.text", "user.interrupted", "error", "metric", "turn.metrics", "state", "call.started",
]  # fmt: skip
VERBS = [
    "agent.text.delta", "agent.text.end", "agent.say", "agent.transfer", "agent.end_call",
    "agent.dispatch", "agent.add_participant", "agent.remove_participant", "agent.merge",
]  # fmt: skip

SERVED_VERBS = VERBS[:5]
"""Those that do something here; the rest of v2's is read and dropped."""

FILLER_SENTINEL = "__filler:"
PAUSE_SENTINEL = "__recording_pause"
RESUME_SENTINEL = "__recording_resume"
"""What a v2 runner says instead of its filler and recording verbs; never to be spoken."""


class _Frame(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True):
    pass


class Hello(_Frame, frozen=True, kw_only=True, tag="hello"):
    protocol_version: int = PROTOCOL_VERSION
    supported_events: list[str] = []
    supported_verbs: list[str] = []
    features: list[str] = []
    received: int = 0
    """Highest caller number this runner has seen (feature `resume`)."""
    resume: bool = False
    """The runner had this bridge before and goes on; `call.started` is not wanted again."""


class AgentSay(_Frame, frozen=True, kw_only=True, tag="agent.say"):
    text: str
    seq: int = 0


class AgentTextDelta(_Frame, frozen=True, kw_only=True, tag="agent.text.delta"):
    text: str
    seq: int = 0


class AgentTextEnd(_Frame, frozen=True, kw_only=True, tag="agent.text.end"):
    seq: int = 0


class AgentTransfer(_Frame, frozen=True, kw_only=True, tag="agent.transfer"):
    target: str
    transfer_type: str = "number"
    mode: str = "cold"
    announcement: str = ""
    seq: int = 0


class AgentEndCall(_Frame, frozen=True, kw_only=True, tag="agent.end_call"):
    reason: str = "completed"
    seq: int = 0


class AgentInterrupt(_Frame, frozen=True, kw_only=True, tag="agent.interrupt"):
    """Stop what is being said (feature `controls`)."""

    seq: int = 0


class AgentFiller(_Frame, frozen=True, kw_only=True, tag="agent.filler"):
    """What to play while the agent thinks (feature `controls`); "" is nothing."""

    text: str
    seq: int = 0


class AgentRecording(_Frame, frozen=True, kw_only=True, tag="agent.recording"):
    """Pause or resume the recording (feature `controls`)."""

    action: Literal["pause", "resume"]
    reason: str = ""
    seq: int = 0


class Ack(_Frame, frozen=True, kw_only=True, tag="ack"):
    """Every numbered frame up to and including `seq` has arrived (feature `resume`)."""

    seq: int


class HelloAck(_Frame, frozen=True, kw_only=True, tag="hello.ack", omit_defaults=False):
    call_id: str
    session_id: str
    job_id: str
    room_id: str
    protocol_version: int = PROTOCOL_VERSION
    negotiated_events: list[str] = []
    negotiated_verbs: list[str] = []
    features: list[str] = []
    received: int = 0
    """Highest agent number that need not be sent again (feature `resume`)."""
    recording: bool = False


class CallStarted(_Frame, frozen=True, kw_only=True, tag="call.started", omit_defaults=False):
    session_id: str
    job_id: str
    room_id: str
    metadata: dict[str, Any] | msgspec.Raw = {}
    voice_profile_id: str | None = None
    agent_id: str | None = None


class UserText(_Frame, frozen=True, kw_only=True, tag="user.text"):
    text: str
    is_final: bool = True
    extra: dict[str, Any] | None = None
    seq: int = 0


class UserInterrupted(_Frame, frozen=True, kw_only=True, tag="user.interrupted"):
    turn_id: int = 0
    heard_prefix: str | None = None
    seq: int = 0


class UserHangup(_Frame, frozen=True, kw_only=True, tag="user.hangup"):
    """The caller hangs up. Text channel only; the runner sees its bridge end."""

    seq: int = 0


class BridgeError(_Frame, frozen=True, kw_only=True, tag="error"):
    severity: str
    source: str
    code: str
    message: str


class Metric(_Frame, frozen=True, kw_only=True, tag="metric"):
    ttfa_ms: int | None = None
    asr_p95_ms: int | None = None
    tts_p95_ms: int | None = None
    turns: int = 0
    cost_usd_so_far: float | None = None


class TurnMetrics(_Frame, frozen=True, kw_only=True, tag="turn.metrics"):
    call_id: str = ""
    turn_id: int = 0
    ttfa_ms: float | None = None
    asr_ms: float | None = None
    llm_ttft_ms: float | None = None
    tts_ttfb_ms: float | None = None
    llm_call_count: int = 0
    llm_total_ms: float | None = None
    from_node: str | None = None
    to_node: str | None = None


class State(_Frame, frozen=True, kw_only=True, tag="state"):
    state: str = "idle"
    turn_id: int = 0


class CallEnded(_Frame, frozen=True, kw_only=True, tag="call.ended"):
    """The last frame before the orchestrator closes: why (feature `resume`, and text channel)."""

    reason: str
    detail: str = ""


class Ready(_Frame, frozen=True, kw_only=True, tag="ready", omit_defaults=False):
    """First frame on a text channel. `received` is the highest caller number already taken."""

    session_id: str
    agent: str
    state: str
    received: int


Verb = (
    AgentSay | AgentTextDelta | AgentTextEnd | AgentTransfer | AgentEndCall | AgentInterrupt
    | AgentFiller | AgentRecording
)  # fmt: skip
FromRunner = Hello | Verb | Ack
ToRunner = (
    HelloAck | CallStarted | UserText | UserInterrupted | BridgeError | Metric | TurnMetrics
    | State | CallEnded | Ack
)  # fmt: skip
FromCaller = UserText | UserInterrupted | UserHangup | Ack
ToCaller = Ready | Verb | State | CallEnded | Ack

from_runner: Direction[FromRunner] = Direction(FromRunner, "event")
to_runner: Direction[ToRunner] = Direction(ToRunner, "event")
from_caller: Direction[FromCaller] = Direction(FromCaller, "event")
to_caller: Direction[ToCaller] = Direction(ToCaller, "event")
