"""The one shape every error of every surface has."""

import math
from dataclasses import dataclass
from typing import Any

import msgspec

from paddock_orchestrator.listener.http import Exchange

_TITLES = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Payload too large",
    422: "Unprocessable",
    429: "Too many requests",
    500: "Internal error",
    503: "Service unavailable",
    504: "Timeout",
}


@dataclass(eq=False)
class ApiError(Exception):
    """An error with its answer. `reason` is for programs, `message` for people."""

    status: int
    reason: str
    message: str
    retry_after_s: float = 0
    extra: dict[str, Any] | None = None

    def body(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "code": str(self.status),
            "error": _TITLES.get(self.status, "Error"),
            "message": self.message,
            "reason": self.reason,
            **(self.extra or {}),
        }

    def headers(self) -> dict[str, str]:
        if self.status == 401:
            return {"WWW-Authenticate": "Bearer"}
        return {"Retry-After": str(math.ceil(self.retry_after_s))} if self.retry_after_s else {}


def answer_error(exchange: Exchange, error: ApiError) -> None:
    headers = tuple((k.lower().encode(), v.encode()) for k, v in error.headers().items())
    exchange.answer(error.status, msgspec.json.encode(error.body()), headers)


def complaint(error: Any, *within: object) -> str:
    """`limit: got 'x', expected ...` for one of pydantic's findings, in a part of the request."""
    named = [p for p in error["loc"] if p not in ("body", "query", "path", "header")]
    where = ".".join(map(str, (*within, *named)))
    return f"{where or 'body'}: got {str(error.get('input'))[:80]!r}, {error['msg']}"
