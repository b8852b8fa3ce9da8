"""Frames of the control socket: runner and orchestrator, one JSON object a message, by `type`.

The names and fields without a remark are those of the v2 runner protocol. What is marked with a
feature (`features.py`) is ours and travels only to a peer that advertised it.
"""

from typing import Any, Literal

import msgspec

from paddock.protocol.codec import Direction
from paddock.protocol.words import Mode, SessionState

PATH = "/v1/internal/workers"
DIAL_OUT = "dial_out"


class _Frame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    pass


class HeldSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session the runner says it holds (feature `events`)."""

    session_id: str
    attempt: int
    state: SessionState


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    max_concurrent: int
    agent_id: str
    transport: str | None = None
    kind: str = "brain"
    voice_profiles: list[Any] = []
    hostname: str | None = None
    address: str | None = None
    region: str | None = None
    deployment: str | None = None
    serving_url: str | None = None
    features: list[str] = []
    instance: str = ""
    """Random per process: a runner restarted under its name is another instance."""
    permits_per_minute: int | None = None
    revision: str = ""
    startup_ms: int | None = None
    """Process start to first registration, milliseconds."""


class Register(_Frame, frozen=True, kw_only=True, tag="register"):
    worker_id: str
    pool: str
    capabilities: Capabilities
    sessions: list[HeldSession] = []
    draining: bool = False
    drain_epoch: int = 0


class Heartbeat(_Frame, frozen=True, kw_only=True, tag="heartbeat"):
    active_jobs: int
    worker_id: str | None = None
    in_flight: int | None = None
    """Booked sessions, dialling ones included (feature `events`)."""
    draining: bool = False


class JobAck(_Frame, frozen=True, kw_only=True, tag="job.ack"):
    job_id: str
    accepted: bool
    assign_id: str = ""
    reason: str | None = None
    retry_after_ms: int | None = None


class SessionEvent(_Frame, frozen=True, kw_only=True, tag="session.event"):
    """Something happened to a session (feature `events`). `ended` frees the slot."""

    seq: int
    session_id: str
    attempt: int
    kind: Literal["active", "ending", "ended"]
    at_ms: int
    """UTC milliseconds since the epoch, by the runner's clock."""
    reason: str = ""
    detail: str = ""


class DrainReport(_Frame, frozen=True, kw_only=True, tag="drain.report"):
    """The barrier report (feature `drain`)."""

    drain_epoch: int
    mode: Mode
    booked: int


class VerbResult(_Frame, frozen=True, kw_only=True, tag="verb.result"):
    verb_id: str
    ok: bool
    error: str = ""


class Bye(_Frame, frozen=True, kw_only=True, tag="bye"):
    """The runner leaves on purpose and holds nothing (feature `events`)."""

    reason: str = ""


class Registered(_Frame, frozen=True, kw_only=True, tag="registered", omit_defaults=False):
    heartbeat_interval_s: int
    transport_ack: str | None = None


class Welcomed(_Frame, frozen=True, kw_only=True, tag="registered", omit_defaults=False):
    """`registered` for a runner with features."""

    heartbeat_interval_s: int
    transport_ack: str | None = DIAL_OUT
    features: list[str] = []
    boot: str = ""
    """Random per orchestrator process."""

    def __post_init__(self) -> None:
        if self.heartbeat_interval_s < 1:
            raise ValueError("heartbeat_interval_s must be at least 1")


class JobAssign(_Frame, frozen=True, kw_only=True, tag="job.assign"):
    job_id: str
    call_id: str
    agent_id: str
    bridge_url: str
    call_token: str
    assign_id: str = ""
    deadline_ms: int = 2000
    attempt: int = 0
    """Fencing number of the session (feature `events`)."""


class JobCancel(_Frame, frozen=True, kw_only=True, tag="job.cancel"):
    job_id: str
    reason: str = ""


class Drain(_Frame, frozen=True, kw_only=True, tag="drain"):
    """Take nothing new, leave after the last session (feature `drain`)."""

    drain_epoch: int
    deadline_ms: int | None = None
    """Milliseconds from now until what is left is ended; None is never."""
    warn_before_ms: int = 0
    reason: str = ""


class Serve(_Frame, frozen=True, kw_only=True, tag="serve"):
    """Drain called off (feature `drain`)."""

    drain_epoch: int


class EventsAck(_Frame, frozen=True, kw_only=True, tag="events.ack"):
    """Every session event up to and including `seq` is durable (feature `events`)."""

    seq: int


class Verb(_Frame, frozen=True, kw_only=True, tag="verb"):
    """Do something to a live session (feature `verbs`); doing it twice is doing it once."""

    verb_id: str
    session_id: str
    name: Literal["end"]
    reason: str = ""
    deadline_ms: int = 10_000


class PoolQueued(_Frame, frozen=True, kw_only=True, tag="pool.queued"):
    """How many starts wait for the runner's pool (feature `queued`)."""

    queued: int


FromRunner = Register | Heartbeat | JobAck | SessionEvent | DrainReport | VerbResult | Bye
ToRunner = Welcomed | JobAssign | JobCancel | Drain | Serve | EventsAck | Verb | PoolQueued

from_runner: Direction[FromRunner] = Direction(FromRunner, "type")
to_runner: Direction[ToRunner] = Direction(ToRunner, "type")
