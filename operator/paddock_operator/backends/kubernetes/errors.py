"""What a request to the API server may end with.

KubeError                 any answer but the one asked for; also 400, 405, 413, 415
├── Unauthorized          401: the credential is not known, or no longer
├── Forbidden             403: the role lacks a right, or the namespace is going
├── QuotaExceeded         403: a ResourceQuota is used up; may pass without our doing
├── NotFound              404
├── AlreadyExists         409: an object of that name is there
├── Conflict              409: the object is not what the write was decided on; read it again
├── Gone                  410: the server no longer knows that resourceVersion; list again
├── Invalid               422: the object breaks a rule; `causes` say which
└── Transient             the same request may succeed later
    ├── TooManyRequests   429: the server sheds load, or a disruption budget protects the pod
    └── ServerUnavailable 5xx; `status` 0: no connection, a lost one, or no answer in time

NoAccess                  no configuration that leads to a cluster
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec


class NoAccess(Exception):
    """Neither a pod's service account nor a usable kubeconfig; says what was tried."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One field that is wrong."""

    reason: str
    message: str
    field: str = ""


class KubeError(Exception):
    """`status` is HTTP's, 0 when there was no answer; `reason` is Kubernetes' word for it.

    `attempts` above 1 says that the request was sent more than once: what an earlier attempt did
    is then unknown, and a Conflict may be due to it.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        causes: tuple[Cause, ...] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.reason = reason
        self.causes = causes
        self.retry_after_s = retry_after_s
        self.attempts = 1

    def __str__(self) -> str:
        known = " ".join(part for part in (str(self.status or ""), self.reason) if part)
        return f"{known}: {self.message}" if known else self.message


class Unauthorized(KubeError):
    """401."""


class Forbidden(KubeError):
    """403, other than a used up quota."""


class QuotaExceeded(KubeError):
    """403: a ResourceQuota does not allow another object."""


class NotFound(KubeError):
    """404."""


class AlreadyExists(KubeError):
    """409 of a create."""


class Conflict(KubeError):
    """409 of a precondition, a resourceVersion, or of fields another manager owns."""


class Gone(KubeError):
    """410."""


class Invalid(KubeError):
    """422."""


class Transient(KubeError):
    """Worth another try."""


class TooManyRequests(Transient):
    """429."""

    @property
    def protected(self) -> bool:
        """An eviction was refused by a disruption budget: no sign of load."""
        return any(cause.reason == "DisruptionBudget" for cause in self.causes)


class ServerUnavailable(Transient):
    """5xx, or no answer."""


NOT_CONNECTED = "NotConnected"
"""Reason of a ServerUnavailable whose request cannot have arrived."""
CONNECTION_LOST = "ConnectionLost"
TIMED_OUT = "TimedOut"

_BY_STATUS: dict[int, type[KubeError]] = {
    401: Unauthorized, 403: Forbidden, 404: NotFound, 409: Conflict, 410: Gone, 422: Invalid,
    429: TooManyRequests,
}  # fmt: skip


def error_of(
    status: int, body: bytes | Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> KubeError:
    """The error an answer means. `body` is a Status object, or whatever a proxy said instead."""
    told = _status_object(body)
    message = str(told.get("message") or "") or _text(body) or "no message"
    reason = str(told.get("reason") or "")
    details = told.get("details") or {}
    causes = tuple(
        Cause(str(c.get("reason", "")), str(c.get("message", "")), str(c.get("field", "")))
        for c in details.get("causes") or ()
    )
    kind = _BY_STATUS.get(status, ServerUnavailable if status >= 500 else KubeError)
    if status == 409 and reason == "AlreadyExists":
        kind = AlreadyExists
    if status == 403 and "exceeded quota" in message:
        kind = QuotaExceeded
    return kind(
        message, status=status, reason=reason, causes=causes,
        retry_after_s=_retry_after(details, headers or {}),
    )  # fmt: skip


def _status_object(body: bytes | Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(body, bytes):
        return body
    try:
        told = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return told if isinstance(told, dict) else {}


def _text(body: bytes | Mapping[str, Any]) -> str:
    return body[:500].decode(errors="replace").strip() if isinstance(body, bytes) else ""


def _retry_after(details: Mapping[str, Any], headers: Mapping[str, str]) -> float | None:
    """Seconds. A date in the header is not understood: the API server sends none."""
    header = headers.get("Retry-After", "")
    if re.fullmatch(r"\d{1,6}", header):
        return float(header)
    seconds = details.get("retryAfterSeconds")
    return float(seconds) if isinstance(seconds, int) and seconds > 0 else None
