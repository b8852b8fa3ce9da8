"""Rows of the durable record. Times are UTC milliseconds since the epoch; None is "not yet"."""

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a key may do. The prefix of its text says the same."""

    PUBLIC = "public"
    """`pk_`: start sessions."""
    PRIVATE = "private"
    """`sk_`: manage, and everything below."""
    RUNNER = "runner"
    """`rk_`: hold a control socket."""


@dataclass(frozen=True, slots=True)
class Organization:
    org_id: str
    name: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class Key:
    key_id: str
    org_id: str
    name: str
    scope: Scope
    digest: bytes
    """SHA-256 of the key's text; the text itself is not kept, public keys apart."""
    created_ms: int
    shown: str = ""
    """A public key's text, which an administrator may read again; else ""."""
    agents: tuple[str, ...] = ()
    """Agents the key is limited to; empty is all."""
    expires_ms: int | None = None
    revoked_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SessionRow:
    session_id: str
    org_id: str
    agent: str
    state: str
    attempt: int
    runner_id: str
    instance: str
    """The runner process that holds it: a runner restarted under its name has another."""
    requested_ms: int
    max_duration_s: float
    call: bytes
    """JSON object: direction, user_number, instructions."""
    data: bytes
    """JSON: the caller's `body`, byte for byte."""
    idempotency_key: str | None = None
    body_digest: bytes | None = None
    assigned_ms: int | None = None
    started_ms: int | None = None
    ended_ms: int | None = None
    torn_down_ms: int | None = None
    end_reason: str | None = None
    end_detail: str | None = None


@dataclass(frozen=True, slots=True)
class EventRow:
    """One line of the organization's history. `event_id` is given by the writer's caller, grows."""

    event_id: int
    org_id: str
    at_ms: int
    kind: str
    """`session.started`, `session.ended`, `pool.decided`, ..."""
    agent: str
    session_id: str | None
    data: bytes
    """JSON object."""
