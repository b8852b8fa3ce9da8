"""HTTP to the orchestrator: the statistics stream in, declarations and drain commands out."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from typing import Any, TypeVar

import httpx
import msgspec

from paddock_operator.plan.view import Intent
from paddock_operator.signals.commands import Command, Commands
from paddock_operator.signals.patience import Patience
from paddock_operator.signals.words import Commanded, Declared, Renewed, line_of

log = logging.getLogger("paddock.signals")

T = TypeVar("T")

STREAM_SILENCE_S = 10.0
RETRY_S = 0.5
POLL_S = 1.0
POLLS = 60
"""How often the statistics are asked for one by one before the stream is tried again."""
REQUEST_TIMEOUT_S = 5.0
AT_ONCE = 8
"""Requests; the client's own queue of them costs more with each that waits in it."""
KEEP_ALIVE_S = 3.0
"""Less than a server keeps an idle connection: 5 s, or a request meets its end."""
RENEW_S = 5.0
"""Between renewals of what was declared, all pools in one request."""
_JSON = {"Content-Type": "application/json"}


class OrchestratorLink:
    """One orchestrator. Failures are logged and answered by None: never raised.

    While it does not answer, requests of others are not made but answered so at once; `follow`
    tries by itself until it answers.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        ca: bytes | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """`ca`: certificates to trust instead of the system's, PEM. `changed()` is called when it
        begins or ceases to be heard, is not heard for another reason, answers again, or has
        forgotten what was declared."""
        self._url = url
        self._api_key = api_key
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=httpx.Timeout(REQUEST_TIMEOUT_S, read=STREAM_SILENCE_S),
            limits=httpx.Limits(keepalive_expiry=KEEP_ALIVE_S),
            trust_env=False,
            verify=_trusted(url, ca),
        )
        self._changed = changed
        self._commands = Commands(self._command, timeout_s=REQUEST_TIMEOUT_S)
        self._room = asyncio.Semaphore(AT_ONCE)
        self._patience = Patience()
        self._silence = asyncio.Event()
        """Set while requests are not answered."""
        self._standing: set[str] = set()
        """Agents whose last declaration the orchestrator has, as far as known."""
        self._renewing: set[str] = set()
        self._boot = ""
        self._unheard = ""
        """Why the statistics cannot be followed."""
        self._unanswered = ""
        """Why requests are of no use."""
        self.heard = False
        """Something was heard from it, if only in the past."""
        self.key_refused = False
        """The problem is that it does not take the key."""

    @property
    def problem(self) -> str:
        """Why it cannot be heard or asked at the moment; "" when it can, or is first tried."""
        return self._unheard or self._unanswered

    async def close(self) -> None:
        await self._commands.close()
        await self._client.aclose()

    # -- what is heard ----------------------------------------------------------------------

    async def follow(self, hear: Callable[[dict[str, Any]], None]) -> None:
        """Call `hear` with every line of the statistics stream, and renew, until cancelled."""
        beside = [asyncio.create_task(self._renew()), asyncio.create_task(self._try_again())]
        try:
            while True:
                try:
                    await self._stream(hear)
                except (httpx.HTTPError, ValueError) as why:
                    self._failed(self._words(why))
                    if isinstance(why, httpx.ReadTimeout):
                        await self._poll(hear)
                await asyncio.sleep(RETRY_S)
        finally:
            for task in beside:
                task.cancel()

    async def _poll(self, hear: Callable[[dict[str, Any]], None]) -> None:
        """Ask again and again: a proxy in between may hold a stream back."""
        for _ in range(POLLS):
            try:
                answer = await self._client.get("/v1/internal/stats")
                if not self._accepted(answer):
                    return
                self._hear(answer.text, hear)
            except (httpx.HTTPError, ValueError) as why:
                self._failed(self._words(why))
                return
            await asyncio.sleep(POLL_S)

    async def _stream(self, hear: Callable[[dict[str, Any]], None]) -> None:
        heard = False
        async with self._client.stream("GET", "/v1/internal/stats?watch=1") as answer:
            if not self._accepted(answer):
                return
            async for text in answer.aiter_lines():
                if text:
                    heard = True
                    self._hear(text, hear)
        if not heard:
            self._failed(f"{self._url} has no statistics to tell: it is no orchestrator")

    def _hear(self, text: str, hear: Callable[[dict[str, Any]], None]) -> None:
        try:
            line = line_of(text)
        except ValueError as why:
            raise ValueError(
                f"{self._url} answers with something else than an orchestrator's statistics ({why})"
            ) from None
        news = bool(self._unheard) or not self.heard
        self._unheard, self.heard, self.key_refused = "", True, False
        if line["boot"] != self._boot:
            if self._boot:
                self._standing.clear()
            self._boot = line["boot"]
        hear(line)
        if news:
            self._changed()

    def _accepted(self, answer: httpx.Response) -> bool:
        if answer.status_code == 200:
            return True
        refused = answer.status_code in (401, 403)
        self._failed(f"statistics answered {answer.status_code}", refused=refused)
        return False

    def _failed(self, why: str, *, refused: bool = False) -> None:
        if why == self._unheard:
            return
        log.warning("orchestrator_unreachable", extra={"why": why})
        self._unheard, self.key_refused = why, refused
        self._changed()

    def _words(self, why: Exception) -> str:
        """For people: without the key, which the error of a bad header has in its text."""
        if isinstance(why, httpx.LocalProtocolError):
            return "the request could not be sent"
        if isinstance(why, TimeoutError | httpx.TimeoutException):
            return f"{self._url} does not answer in time"
        return self._without_key(str(why)) or type(why).__name__

    def _without_key(self, text: str) -> str:
        return text.replace(self._api_key, "***") if self._api_key else text

    # -- what is said -----------------------------------------------------------------------

    async def declare(self, agent: str, declaration: dict[str, Any]) -> bool | None:
        """PUT the pool; True when the agent was deleted, None when it could not be said."""
        path = f"/v1/internal/agents/{agent}/pool"
        answer = await self._put(path, declaration, Declared)
        if answer is None or answer.closed:
            self._standing.discard(agent)
        else:
            self._standing.add(agent)
        return None if answer is None else answer.closed

    def stands(self, agent: str) -> bool:
        """Whether the agent's last declaration is good, and `renew` is enough to keep it so."""
        return agent in self._standing

    def renew(self, agent: str) -> None:
        """Nothing changed: say so within `RENEW_S`, together with the others of which it is so."""
        self._renewing.add(agent)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            agents, self._renewing = self._renewing, set()
            if not agents:
                continue
            answer = await self._put("/v1/internal/pools", {"agents": sorted(agents)}, Renewed)
            self._standing -= agents if answer is None else set(answer.lapsed)
            if answer is not None and answer.lapsed:
                self._changed()

    async def _try_again(self) -> None:
        """Ask for others, until there is an answer: at once, for it may have been a mishap."""
        while True:
            await self._silence.wait()
            await self._ask("PUT", "/v1/internal/pools", again=True, json={"agents": []})
            if self._silence.is_set():
                await asyncio.sleep(RETRY_S)

    async def tell(
        self, runner_id: str, intent: Intent, *, instance: str, now: float, warn_before_s: float
    ) -> bool:
        """Relay the intent's command to the runner of this name whose instance begins so.

        False when it was not told.
        """
        deadline = None if intent.deadline is None else max(0.0, intent.deadline - now)
        return await self._commands.tell(
            {
                "runner_id": runner_id,
                "instance": instance,
                "drain_epoch": intent.drain_epoch,
                "mode": intent.mode.value,
                "deadline_in_s": deadline,
                "warn_before_s": warn_before_s,
                "reason": intent.reason.value if intent.reason else "",
            }
        )

    async def _command(self, drains: list[Command]) -> list[bool] | None:
        answer = await self._put("/v1/internal/drains", {"drains": drains}, Commanded)
        if answer is None or len(answer.told) != len(drains):
            return None
        for why in answer.refused:
            log.warning("command_refused", extra={"why": why})
        return answer.told

    async def gone(self, runner_id: str, instance: str) -> bool:
        """Say that the process of this runner is over; True when that was heard."""
        path, query = f"/v1/internal/runners/{runner_id}", {"instance": instance}
        answer = await self._ask("DELETE", path, params=query)
        return answer is not None and answer.status_code in (200, 404)

    async def _put(self, path: str, body: dict[str, Any], expected: type[T]) -> T | None:
        answer = await self._ask("PUT", path, content=msgspec.json.encode(body), headers=_JSON)
        if answer is None:
            return None
        if answer.status_code == 200:
            with contextlib.suppress(msgspec.MsgspecError):
                return msgspec.json.decode(answer.content, type=expected)
        said = self._without_key(answer.text)[:300]
        log.warning("orchestrator_refused", extra={"path": path, "answer": said})
        return None

    async def _ask(
        self, method: str, path: str, *, again: bool = False, **more: Any
    ) -> httpx.Response | None:
        """`again`: even while it does not answer."""
        now = asyncio.get_running_loop().time
        if not (again or self._patience.may_ask(now())):
            return None
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S), self._room:
                if self._client.is_closed:
                    return None
                answer = await self._client.request(method, path, **more)
        except (httpx.HTTPError, ValueError, TimeoutError) as why:
            self._not_answered(path, why, now())
            return None
        self._answered()
        return answer

    def _not_answered(self, path: str, why: Exception, now: float) -> None:
        said = self._words(why)
        log.debug("orchestrator_request_failed", extra={"path": path, "why": said})
        self._patience.failed(now)
        self._silence.set()
        if isinstance(why, TimeoutError | httpx.TimeoutException) and not self._unanswered:
            # Other failures may be a mishap; of one that is none the statistics learn, too.
            log.warning("orchestrator_silent", extra={"why": said})
            self._unanswered = said
            self._changed()

    def _answered(self) -> None:
        self._silence.clear()
        self._unanswered = ""
        if self._patience.answered():
            self._changed()


def _trusted(url: str, ca: bytes | None) -> ssl.SSLContext | bool:
    """Whose certificates are taken. Reading the system's stops the loop for tens of ms: not where
    nothing is encrypted."""
    if ca is not None:
        return ssl.create_default_context(cadata=ca.decode())
    return url.lower().startswith("https:")
