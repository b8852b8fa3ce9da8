"""Answers over raw ASGI, and the one shape every error of every surface has."""

import math
from dataclasses import dataclass
from typing import Any

import msgspec

from paddock_orchestrator.links.outbox import SendMessage

_JSON = (b"content-type", b"application/json")

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


async def answer(
    send: SendMessage, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [_JSON, length, *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def answer_error(send: SendMessage, error: ApiError) -> None:
    headers = tuple((k.lower().encode(), v.encode()) for k, v in error.headers().items())
    if error.status == 413:
        headers = (*headers, (b"connection", b"close"))
    await answer(send, error.status, msgspec.json.encode(error.body()), headers)
