"""Requests one by one: credentials, time limits, how many at once, measuring, typed errors."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Protocol
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration

from paddock.version import __version__
from paddock_operator.backends.kubernetes.access import Access
from paddock_operator.backends.kubernetes.errors import (
    CONNECTION_LOST,
    NOT_CONNECTED,
    TIMED_OUT,
    KubeError,
    ServerUnavailable,
    Unauthorized,
    error_of,
)
from paddock_operator.backends.kubernetes.paths import resource_of, verb_of
from paddock_operator.backends.kubernetes.retry import Retries

IN_FLIGHT = 20
SHARE = 16
"""Of them, what one of many may take: a thousand writes of one pool leave room for the others'."""
CONNECT_S = 5.0


class Observe(Protocol):
    """Told of every attempt. `code` is HTTP's, 0 when there was no answer."""

    def __call__(self, verb: str, resource: str, code: int, seconds: float) -> None: ...


def unobserved(verb: str, resource: str, code: int, seconds: float) -> None:
    pass


class Transport:
    """One cluster. At most `IN_FLIGHT` requests at once, streams not counted."""

    def __init__(
        self,
        access: Access,
        *,
        timeout_s: float = 10.0,
        retries: Retries | None = None,
        observe: Observe = unobserved,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._access = access
        self._timeout_s = timeout_s
        self._retries = retries or Retries()
        self._observe = observe
        self._clock = clock
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._signing_in = asyncio.Lock()
        self._api: ApiClient | None = None
        self._retired: ApiClient | None = None
        self._signed_in = 0
        """How often the credential was read; a request that fails with an older one may go on."""

    async def close(self) -> None:
        """Ends what is in flight with ServerUnavailable."""
        for api in (self._api, self._retired):
            if api is not None:
                await api.close()
        self._api = self._retired = None

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        repeatable: bool,
        verb: str = "",
        share: asyncio.Semaphore | None = None,
    ) -> bytes:
        """The body of a good answer. Raises KubeError with its `attempts`, and NoAccess.

        `share`: room that has to be had as well.
        """
        began, failures, refused = self._clock(), 0, False
        while True:
            try:
                async with share or nullcontext(), self._room:
                    signed_in = await self._credential()
                    return await self._attempt(method, path, query, body, content_type, verb)
            except KubeError as error:
                failures += 1
                error.attempts = failures
                if isinstance(error, Unauthorized) and not refused:
                    refused = True
                    await self._sign_in(instead_of=signed_in)
                    continue
                delay_s = self._retries.delay(
                    error, failures=failures, elapsed_s=self._clock() - began,
                    repeatable=repeatable,
                )  # fmt: skip
                if delay_s is None:
                    raise
            await asyncio.sleep(delay_s)

    async def stream(
        self, path: str, query: Mapping[str, str], *, verb: str
    ) -> aiohttp.ClientResponse:
        """An open answer, to be read without a limit of time, and closed. Raises KubeError."""
        forever = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
        signed_in = await self._credential()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._open("GET", path, query, None, "", forever, verb)
        except TimeoutError as why:
            raise _unavailable(TIMED_OUT, f"{path}: no answer in {self._timeout_s:g} s") from why
        except Unauthorized:
            await self._sign_in(instead_of=signed_in)
            raise

    async def _attempt(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: object,
        content_type: str,
        verb: str,
    ) -> bytes:
        limit = aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=CONNECT_S)
        answer = await self._open(method, path, query, body, content_type, limit, verb)
        with translated(f"{method} {path}"):
            return await answer.read()

    async def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: object,
        content_type: str,
        limit: aiohttp.ClientTimeout,
        verb: str,
    ) -> aiohttp.ClientResponse:
        api = self._api or await self._sign_in(instead_of=0)
        began, code = self._clock(), 0
        try:
            with translated(f"{method} {path}"):
                # Compressing costs a server nearby more than it saves.
                headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
                if body is not None:
                    headers["Content-Type"] = content_type
                _, url, signed, _, _ = await api.param_serialize(
                    method, path, header_params=headers, auth_settings=["BearerToken"]
                )
                if query:
                    url += "?" + urlencode(query)
                rest = await api.call_api(method, url, signed, body, None, limit)
                answer: aiohttp.ClientResponse = rest.response
                code = answer.status
                if code >= 400:
                    raise error_of(code, await answer.read(), answer.headers)
                return answer
        finally:
            word = verb or verb_of(method)
            self._observe(word, resource_of(path), code, self._clock() - began)

    async def _credential(self) -> int:
        """The number of the credential that is used next."""
        if self._api is None:
            await self._sign_in(instead_of=0)
        return self._signed_in

    async def _sign_in(self, *, instead_of: int) -> ApiClient:
        """A client with a credential newer than the one that failed."""
        async with self._signing_in:
            if self._api is not None and self._signed_in != instead_of:
                return self._api
            configuration = await self._access()
            self._signed_in += 1
            if self._api is not None and _way(self._api.configuration) == _way(configuration):
                self._api.configuration.api_key = configuration.api_key
                self._api.configuration.refresh_api_key_hook = configuration.refresh_api_key_hook
                return self._api
            if self._retired is not None:
                await self._retired.close()
            # Others are using it: what they asked is answered still.
            self._retired, self._api = self._api, ApiClient(configuration)
            self._api.user_agent = f"paddock-operator/{__version__}"
            return self._api


def _way(configuration: Configuration) -> tuple[object, ...]:
    """All that leads to the cluster but the token."""
    return (
        configuration.host, configuration.ssl_ca_cert, configuration.cert_file,
        configuration.key_file, configuration.verify_ssl, configuration.tls_server_name,
        configuration.proxy,
    )  # fmt: skip


class translated:  # noqa: N801 - reads as a statement
    """Turns what the HTTP library raises into ServerUnavailable."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return

    def __exit__(self, _: object, why: BaseException | None, __: object) -> None:
        if isinstance(why, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            raise _unavailable(NOT_CONNECTED, f"{self._what}: {why}") from why
        if isinstance(why, TimeoutError):
            raise _unavailable(TIMED_OUT, f"{self._what}: no answer in time") from why
        if isinstance(why, aiohttp.ClientError | OSError):
            raise _unavailable(CONNECTION_LOST, f"{self._what}: {why!r}") from why
        if isinstance(why, RuntimeError) and "closed" in str(why):
            raise _unavailable(CONNECTION_LOST, f"{self._what}: {why}") from why


def _unavailable(reason: str, message: str) -> ServerUnavailable:
    return ServerUnavailable(message, reason=reason)
