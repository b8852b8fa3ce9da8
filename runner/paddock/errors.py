"""Everything the SDK raises.

PaddockError
├── ConfigurationError   the caller's: a setting is missing or unusable (also a ValueError)
├── CredentialRefused    the key's: unknown, revoked or expired; trying again cannot help
├── SessionEnded         the call is over, so it cannot speak any more
├── SessionStalled       the other side has not listened for too long
├── ChannelLost          the caller's side of a session is gone while the call may still be on
└── ApiError             the orchestrator's answer to a request was not the one asked for
    ├── BadRequest       400, 405, 409, 413, 422: the request must change
    ├── Unauthorized     401, 403: the key must change
    ├── NotFound         404
    ├── AtCapacity       429: try again after `retry_after_s`
    ├── Unavailable      502, 503, 504: nobody can take it just now; try again
    │   └── Unreachable  no answer at all
    └── ServerFailed     500, or an answer that is none of the orchestrator's
"""

from dataclasses import dataclass


class PaddockError(Exception):
    """Base of everything the SDK raises on purpose."""

    retryable = False


class ConfigurationError(PaddockError, ValueError):
    """A setting that is missing or cannot be used; says which, its value and the fix."""


class CredentialRefused(PaddockError):
    """The orchestrator refused the key."""


class SessionEnded(PaddockError):
    """The call is over. `reason` and `detail` say how it ended."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"the session has ended: {reason}" + (f" ({detail})" if detail else ""))
        self.reason = reason
        self.detail = detail


class SessionStalled(PaddockError):
    """Nobody has acknowledged what the agent said for too long."""

    retryable = True


class ChannelLost(PaddockError):
    """The text channel cannot be had back; says why and what to do."""


@dataclass(frozen=True, slots=True)
class RefusedAttempt:
    """One runner that was asked to take a session and did not."""

    runner: str
    reason: str


class ApiError(PaddockError):
    """A request that the orchestrator did not carry out.

    `status` is 0 when there was no answer. `reason` is for programs, `message` for people.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        retry_after_s: float = 0.0,
        attempts: tuple[RefusedAttempt, ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after_s = retry_after_s
        self.attempts = attempts


class BadRequest(ApiError):
    """The request does not fit; the message says what was expected."""


class Unauthorized(ApiError):
    """The key is unknown, revoked, expired, or may not do this."""


class NotFound(ApiError):
    """No such agent, session or key in the key's organization."""


class AtCapacity(ApiError):
    """No slot is free and the pool may not grow, or the key asks too often."""

    retryable = True


class Unavailable(ApiError):
    """Nobody can take the request just now."""

    retryable = True


class Unreachable(Unavailable):
    """No answer from the orchestrator's address."""


class ServerFailed(ApiError):
    """The orchestrator failed, or something else answers at its address."""


_KINDS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    405: BadRequest,
    409: BadRequest,
    413: BadRequest,
    422: BadRequest,
    429: AtCapacity,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def api_error(
    status: int,
    reason: str,
    message: str,
    retry_after_s: float = 0.0,
    attempts: tuple[RefusedAttempt, ...] = (),
) -> ApiError:
    """The error for an answer's status."""
    kind = _KINDS.get(status, ServerFailed)
    return kind(status, reason, message, retry_after_s, attempts)
