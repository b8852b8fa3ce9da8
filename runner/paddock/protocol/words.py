"""The closed sets of words that cross the wire, shared by every process."""

from enum import StrEnum


class EndReason(StrEnum):
    """Why a session ended. Exactly one per session; anything finer is the free `detail`."""

    COMPLETED = "completed"
    NO_RESPONSE = "no_response"
    ERROR = "error"
    TRANSFERRED = "transferred"
    MAX_DURATION = "max_duration"
    TERMINATED = "terminated"
    RUNNER_LOST = "runner_lost"
    DRAIN_TIMEOUT = "drain_timeout"
    START_TIMEOUT = "start_timeout"
    CANCELLED = "cancelled"


class SessionState(StrEnum):
    """The public states of a session, in the order they are passed through."""

    QUEUED = "queued"
    ASSIGNED = "assigned"
    ACTIVE = "active"
    ENDING = "ending"
    ENDED = "ended"


class Refusal(StrEnum):
    """Why a runner did not accept a job."""

    AGENT_ID_MISMATCH = "agent_id_mismatch"
    AT_CAPACITY = "at_capacity"
    DRAINING = "draining"
    START_RATE = "start_rate"
    BAD_PAYLOAD = "bad_payload"
    INTERNAL = "internal"


class Mode(StrEnum):
    """What a runner was told: take sessions, or take no new one and leave after the last."""

    SERVE = "serve"
    DRAIN = "drain"


def end_reason(word: str) -> tuple[EndReason, str]:
    """The end reason for an agent's word, which is kept as detail if it is not one of ours.

    An agent may end a call for any reason it likes; an unknown one is a completed call.
    """
    try:
        return EndReason(word), ""
    except ValueError:
        return EndReason.COMPLETED, word
