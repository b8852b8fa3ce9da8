"""HTTP to the orchestrator: the statistics stream in, declarations and drain commands out."""

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import Callable
from typing import Any

import httpx

from paddock_operator.plan.view import Intent
from paddock_operator.signals.commands import Command, Commands

log = logging.getLogger("paddock.signals")

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


class OrchestratorLink:
    """One orchestrator. Failures are logged and answered by None: never raised."""

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        ca: bytes | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """`ca`: certificates to trust instead of the system's, PEM. `changed()` is called when it
        begins or ceases to be heard, or is not heard for another reason."""
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=httpx.Timeout(REQUEST_TIMEOUT_S, read=STREAM_SILENCE_S),
            limits=httpx.Limits(keepalive_expiry=KEEP_ALIVE_S),
            trust_env=False,
            verify=True if ca is None else ssl.create_default_context(cadata=ca.decode()),
        )
        self._changed = changed
        self._commands = Commands(self._command, timeout_s=REQUEST_TIMEOUT_S)
        self._room = asyncio.Semaphore(AT_ONCE)
        self._standing: set[str] = set()
        """Agents whose last declaration the orchestrator has, as far as known."""
        self._renewing: set[str] = set()
        self.problem = ""
        """Why the orchestrator cannot be heard at the moment; "" when it can, or is first tried."""
        self.heard = False
        """Something was heard from it, if only in the past."""
        self.key_refused = False
        """The problem is that it does not take the key."""

    async def close(self) -> None:
        await self._commands.close()
        await self._client.aclose()

    async def follow(self, hear: Callable[[dict[str, Any]], None]) -> None:
        """Call `hear` with every line of the statistics stream, and renew, until cancelled."""
        renewing = asyncio.create_task(self._renew())
        try:
            while True:
                try:
                    await self._stream(hear)
                except (httpx.HTTPError, ValueError) as why:
                    self._failed(str(why) or type(why).__name__)
                    if isinstance(why, httpx.ReadTimeout):
                        await self._poll(hear)
                await asyncio.sleep(RETRY_S)
        finally:
            renewing.cancel()

    async def _poll(self, hear: Callable[[dict[str, Any]], None]) -> None:
        """Ask again and again: a proxy in between may hold a stream back."""
        for _ in range(POLLS):
            try:
                answer = await self._client.get("/v1/internal/stats")
                if not self._accepted(answer):
                    return
                self._hear(answer.text, hear)
            except (httpx.HTTPError, ValueError) as why:
                self._failed(str(why) or type(why).__name__)
                return
            await asyncio.sleep(POLL_S)

    async def _stream(self, hear: Callable[[dict[str, Any]], None]) -> None:
        async with self._client.stream("GET", "/v1/internal/stats?watch=1") as answer:
            if not self._accepted(answer):
                return
            async for text in answer.aiter_lines():
                if text:
                    self._hear(text, hear)

    def _hear(self, text: str, hear: Callable[[dict[str, Any]], None]) -> None:
        line = json.loads(text)
        news = bool(self.problem) or not self.heard
        self.problem, self.heard, self.key_refused = "", True, False
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
        if why == self.problem:
            return
        log.warning("orchestrator_unreachable", extra={"why": why})
        self.problem, self.key_refused = why, refused
        self._changed()

    async def declare(self, agent: str, declaration: dict[str, Any]) -> bool | None:
        """PUT the pool; True when the agent was deleted, None when it could not be said."""
        answer = await self._put(f"/v1/internal/agents/{agent}/pool", declaration)
        if answer is None or answer["closed"]:
            self._standing.discard(agent)
        else:
            self._standing.add(agent)
        return None if answer is None else bool(answer["closed"])

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
            if agents:
                answer = await self._put("/v1/internal/pools", {"agents": sorted(agents)})
                self._standing -= agents if answer is None else set(answer["lapsed"])

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
        answer = await self._put("/v1/internal/drains", {"drains": drains})
        if answer is None:
            return None
        for why in answer["refused"]:
            log.warning("command_refused", extra={"why": why})
        told: list[bool] = answer["told"]
        return told

    async def gone(self, runner_id: str, instance: str) -> bool:
        """Say that the process of this runner is over; True when that was heard."""
        path, query = f"/v1/internal/runners/{runner_id}", {"instance": instance}
        answer = await self._ask("DELETE", path, params=query)
        return answer is not None and answer.status_code in (200, 404)

    async def _put(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        answer = await self._ask("PUT", path, json=body)
        if answer is None:
            return None
        if answer.status_code == 200:
            with contextlib.suppress(ValueError):
                result: dict[str, Any] = answer.json()
                return result
        log.warning("orchestrator_refused", extra={"path": path, "answer": answer.text[:300]})
        return None

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response | None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S), self._room:
                if self._client.is_closed:
                    return None
                return await self._client.request(method, path, **more)
        except (httpx.HTTPError, ValueError, TimeoutError) as why:
            log.debug("orchestrator_request_failed", extra={"path": path, "why": repr(why)})
            return None
