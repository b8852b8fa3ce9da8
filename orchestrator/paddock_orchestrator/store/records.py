"""Rows of the durable record. Times are UTC milliseconds since the epoch; None is "not yet"."""

from enum import StrEnum

import msgspec


class Scope(StrEnum):
    """What a key may do. The prefix of its text says the same."""

    PUBLIC = "public"
    """`pk_`: start sessions."""
    PRIVATE = "private"
    """`sk_`: manage, and everything below."""
    RUNNER = "runner"
    """`rk_`: hold a control socket."""


class Organization(msgspec.Struct, frozen=True, gc=False):
    org_id: str
    name: str
    created_ms: int


class Key(msgspec.Struct, frozen=True, gc=False):
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


class SessionRow(msgspec.Struct, frozen=True, gc=False):
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


class SessionChange(msgspec.Struct, frozen=True, gc=False):
    """Everything about a session that changes after its start; each field replaces what is kept.

    A session is open until `torn_down_ms` is set, so an ending one that never ran sets it too.
    """

    session_id: str
    state: str
    attempt: int
    runner_id: str
    instance: str
    assigned_ms: int | None = None
    started_ms: int | None = None
    ended_ms: int | None = None
    torn_down_ms: int | None = None
    end_reason: str | None = None
    end_detail: str | None = None


class EventRow(msgspec.Struct, frozen=True, gc=False):
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


class Usage(msgspec.Struct, frozen=True, gc=False):
    """What an agent's sessions used inside a window; adjacent windows add up exactly."""

    agent: str
    sessions: int
    """Sessions requested inside the window."""
    instantiating_ms: int
    """From being assigned to a runner until it ran (or ended without running)."""
    running_ms: int
    tearing_down_ms: int


class Pruned(msgspec.Struct, frozen=True, gc=False):
    """Rows removed by one pruning."""

    sessions: int
    events: int


class StoreHealth(msgspec.Struct, frozen=True, gc=False):
    """The writer's own account of itself."""

    ok: bool
    failure: str
    """The last commit's failure, "" after one that succeeded."""
    queued: int
    """Submissions waiting for the writer."""
    commit_s: float
    """How long the last commit took, waiting for a lock included."""
    commits: int
    """Transactions committed since the store was opened."""
    submissions: int
    """Submissions that those transactions carried."""
