"""Requests to the orchestrator: JSON in and out, typed errors, bounded retries."""

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from paddock._tls import CA_BUNDLE, tls_for
from paddock.client.records import attempts_of
from paddock.errors import ApiError, Unreachable, api_error
from paddock.protocol.backoff import Backoff

if TYPE_CHECKING:
    import httpx

MAX_WAIT_S = 5.0
"""A longer `Retry-After` is the caller's to wait for."""
KEEP_ALIVE_S = 3.0
"""Less than an orchestrator keeps an idle connection: 5 s, or a request meets its end."""
_RETRIED = frozenset({502, 503})


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer."""

    body: Any
    headers: "httpx.Headers"


class Transport:
    """One server, one connection pool. httpx is imported when the first request is made."""

    def __init__(
        self, url: str, *, timeout_s: float, retries: int, max_connections: int = 256
    ) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self._retries = retries
        self._max_connections = max_connections
        self._http: httpx.AsyncClient | None = None

    @property
    def http(self) -> "httpx.AsyncClient":
        if self._http is None:
            import httpx

            limits = httpx.Limits(
                max_connections=self._max_connections, max_keepalive_connections=64,
                keepalive_expiry=KEEP_ALIVE_S,
            )  # fmt: skip
            self._http = httpx.AsyncClient(
                base_url=self.url, timeout=self._timeout_s, limits=limits, trust_env=False,
                # Without TLS there is nothing to verify, and the system's certificates take 20 ms.
                verify=tls_for(self.url) or self.url.lower().startswith("https:"),
            )  # fmt: skip
        return self._http

    async def close(self) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        key: str,
        params: dict[str, Any] | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
        repeatable: bool = True,
    ) -> Answer:
        """The answer's JSON. Raises an `ApiError`.

        A `repeatable` request is tried again, a few times, after a lost connection, 502 and 503.
        """
        backoff = Backoff(first_s=0.2, ceiling_s=2.0)
        given = {k: v for k, v in (params or {}).items() if v is not None}
        sent = {**(headers or {}), **authorization(key)}
        content = None
        if body is not None:
            content = msgspec.json.encode(body)
            sent["Content-Type"] = "application/json"
        while True:
            try:
                return await self._once(method, path, given, content, sent)
            except ApiError as error:
                again = isinstance(error, Unreachable) or error.status in _RETRIED
                left = self._retries - backoff.attempts
                if not (repeatable and again and left > 0 and error.retry_after_s <= MAX_WAIT_S):
                    raise
                await asyncio.sleep(max(error.retry_after_s, backoff.next(random.random())))

    async def _once(
        self,
        method: str,
        path: str,
        params: dict[str, Any],
        content: bytes | None,
        headers: dict[str, str],
    ) -> Answer:
        import httpx

        try:
            response = await self.http.request(
                method, path, params=params, content=content, headers=headers
            )
        except httpx.TransportError as why:
            raise unreachable(self.url, why, self._timeout_s) from None
        if not response.is_success:
            raise refusal(response.status_code, response.content, response.headers)
        try:
            return Answer(msgspec.json.decode(response.content), response.headers)
        except msgspec.DecodeError:
            raise api_error(
                200, "bad_answer", f"{self.url} does not answer in JSON: is it an orchestrator?"
            ) from None


def authorization(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def refusal(status: int, content: bytes, headers: "httpx.Headers") -> ApiError:
    """The error in an answer; one that is not ours is shown in short."""
    try:
        raw = msgspec.json.decode(content)
    except msgspec.DecodeError:
        raw = None
    body = raw if isinstance(raw, dict) else {}
    shown = content[:120].decode("utf-8", "replace").strip()
    message = (
        str(body.get("message") or "") or f"the server answered {status}: {shown or '(empty)'}"
    )
    after = headers.get("retry-after", "")
    return api_error(
        status,
        str(body.get("reason") or ""),
        message,
        float(after) if after.isdecimal() else 0.0,
        attempts_of(body.get("attempts")),
    )


def unreachable(url: str, why: Exception, timeout_s: float) -> Unreachable:
    """No answer, said with what to do about it."""
    import httpx

    if "CERTIFICATE_VERIFY_FAILED" in str(why):
        return Unreachable(
            0,
            "certificate",
            f"the certificate of {url} is not trusted: name its authority's file in {CA_BUNDLE}",
        )
    if isinstance(why, httpx.ConnectError):
        return Unreachable(
            0,
            "unreachable",
            f"no orchestrator at {url}: start one with `paddock orchestrator` or `paddock up`",
        )
    if isinstance(why, httpx.TimeoutException):
        return Unreachable(
            0, "timeout", f"no answer from {url} within {timeout_s:g} s: is it overloaded?"
        )
    name = type(why).__name__
    return Unreachable(
        0, "connection_lost", f"the connection to {url} was lost ({name}): try again"
    )
