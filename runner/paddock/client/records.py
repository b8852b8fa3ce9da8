"""What the orchestrator's answers say, as frozen dataclasses. Unknown fields are ignored."""

from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from paddock.errors import RefusedAttempt, ServerFailed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Started:
    """A session that a runner has taken."""

    session_id: str
    agent: str
    token: str
    """Opens the session's text channel, and nothing else."""
    text_url: str
    replayed: bool = False
    """An earlier start with the same idempotency key made this session."""


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent's pool: what it holds, may grow to, and last decided."""

    agent: str
    closed: bool = False
    in_flight: int = 0
    queued: int = 0
    capacity: int = 0
    free: int = 0
    runners: int = 0
    draining: int = 0
    starting: int = 0
    desired: int = 0
    max_slots: int = 0
    reason: str = ""
    pool: dict[str, Any] = field(default_factory=dict)
    arrivals: int = 0
    answered: int = 0
    late: int = 0
    refusals: int = 0
    refused_for: dict[str, int] = field(default_factory=dict)
    completed_last_hour: int = 0
    failed_last_hour: int = 0
    mean_call_duration_s: float = 0.0
    lost: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Runner:
    """A runner and what it holds."""

    runner_id: str
    agent: str = ""
    instance: str = ""
    revision: str = ""
    connected: bool = True
    suspect: bool = False
    draining: bool = False
    can_drain: bool = False
    capacity: int = 0
    in_flight: int = 0
    drain_epoch: int = 0
    startup_ms: int | None = None
    registered_ms: int = 0
    oldest_session_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the organization's history. `event_id` grows."""

    event_id: int
    at: str
    kind: str
    agent: str
    session_id: str | None = None
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """What is known about a session, live or ended. Times are ISO 8601, UTC."""

    session_id: str
    agent: str
    state: str
    runner: str = ""
    attempt: int = 0
    requested_at: str | None = None
    assigned_at: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    torn_down_at: str | None = None
    end_reason: str | None = None
    end_detail: str | None = None
    duration_s: float = 0.0
    call: dict[str, Any] = field(default_factory=dict)
    """Only of a single session, as are `data` and `events`."""
    data: Any = None
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Sessions, newest first. `next` is passed as `before` to see older ones; None at the end."""

    sessions: tuple[SessionRecord, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Organization:
    """Whom a key belongs to."""

    organization_id: str
    name: str
    created_at: str | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A key. `key` is its text: of public keys, and of one just made."""

    key_id: str
    name: str
    scope: str
    agents: tuple[str, ...] = ()
    created_at: str | None = None
    expires_at: str | None = None
    revoked_at: str | None = None
    key: str = ""


def convert(raw: object, kind: type[T]) -> T:
    """The answer as `kind`. Raises `ServerFailed` if it is not the orchestrator's."""
    try:
        return msgspec.convert(raw, kind, strict=False)
    except msgspec.ValidationError as why:
        raise ServerFailed(
            200, "bad_answer", f"the answer does not fit ({why}): is this a Paddock orchestrator?"
        ) from None


def attempts_of(raw: object) -> tuple[RefusedAttempt, ...]:
    """The attempts named in a refusal; none when it names none."""
    try:
        return msgspec.convert(raw or [], tuple[RefusedAttempt, ...])
    except msgspec.ValidationError:
        return ()
