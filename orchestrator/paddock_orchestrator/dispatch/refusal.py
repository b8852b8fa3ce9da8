"""Why a start got no session, and what the caller is told."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    AT_CAPACITY = "at_capacity"
    QUEUE_FULL = "queue_full"
    QUEUE_TIMEOUT = "queue_timeout"
    RATE_LIMITED = "rate_limited"
    NO_RUNNERS = "no_runners"
    RECOVERING = "recovering"
    DRAINING = "draining"
    UNKNOWN_AGENT = "unknown_agent"
    AGENT_CLOSED = "agent_closed"
    START_TIMEOUT = "start_timeout"
    STORE_UNAVAILABLE = "store_unavailable"
    SHUTTING_DOWN = "shutting_down"
    CANCELLED = "cancelled"


_STATUS = {
    Reason.AT_CAPACITY: 429,
    Reason.QUEUE_FULL: 429,
    Reason.QUEUE_TIMEOUT: 429,
    Reason.RATE_LIMITED: 429,
    Reason.NO_RUNNERS: 503,
    Reason.RECOVERING: 503,
    Reason.DRAINING: 503,
    Reason.UNKNOWN_AGENT: 404,
    Reason.AGENT_CLOSED: 404,
    Reason.START_TIMEOUT: 504,
    Reason.STORE_UNAVAILABLE: 503,
    Reason.SHUTTING_DOWN: 503,
    Reason.CANCELLED: 409,
}

_MESSAGE = {
    Reason.AT_CAPACITY: "Every slot of the agent is taken. Please try again later",
    Reason.QUEUE_FULL: "The agent's queue is full. Please try again later",
    Reason.QUEUE_TIMEOUT: "No slot became free in time. Please try again later",
    Reason.RATE_LIMITED: "Rate limit exceeded. Please try again later",
    Reason.NO_RUNNERS: "No runner of the agent is connected",
    Reason.RECOVERING: "The orchestrator has just restarted and its runners are coming back",
    Reason.DRAINING: "Every runner of the agent is draining",
    Reason.UNKNOWN_AGENT: "No such agent: no runner has registered for it and no pool declares it",
    Reason.AGENT_CLOSED: "The agent was deleted and takes no new sessions",
    Reason.START_TIMEOUT: "No runner took the session",
    Reason.STORE_UNAVAILABLE: "The session could not be recorded, so it was not started",
    Reason.SHUTTING_DOWN: "The orchestrator is shutting down",
    Reason.CANCELLED: "The session was ended before a runner took it",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One offer that did not lead to a session."""

    runner_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    reason: Reason
    retry_after_s: int = 0
    """Whole seconds for `Retry-After`; 0 is none."""
    attempts: tuple[Attempt, ...] = ()

    @property
    def status(self) -> int:
        return _STATUS[self.reason]

    @property
    def message(self) -> str:
        return _MESSAGE[self.reason]


def retry_after_s(ahead: int, ends_per_s: float) -> int:
    """Seconds until about `ahead + 1` slots will have come free, between 1 and 30."""
    if ends_per_s <= 0.0:
        return 5
    return max(1, min(30, round((ahead + 1) / ends_per_s)))
