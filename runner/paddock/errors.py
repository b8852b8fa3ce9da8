"""Everything the SDK raises.

PaddockError
├── ConfigurationError   the caller's: a setting is missing or unusable (also a ValueError)
├── CredentialRefused    the key's: unknown, revoked or expired; trying again cannot help
├── SessionEnded         the call is over, so it cannot speak any more
└── SessionStalled       the other side has not listened for too long
"""


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
