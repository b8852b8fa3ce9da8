"""HTTP to the orchestrator: the statistics stream in, declarations and drain commands out."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import httpx

from paddock_operator.plan.view import Intent

log = logging.getLogger("paddock.signals")

STREAM_SILENCE_S = 10.0
RETRY_S = 0.5
REQUEST_TIMEOUT_S = 5.0


class OrchestratorLink:
    """One reconciler's connection. Failures are logged and answered by None: never raised."""

    def __init__(self, url: str, api_key: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=httpx.Timeout(REQUEST_TIMEOUT_S, read=STREAM_SILENCE_S),
            trust_env=False,
        )
        self.problem = ""
        """Why the orchestrator cannot be heard at the moment; "" when it can."""

    async def close(self) -> None:
        await self._client.aclose()

    async def follow(self, hear: Callable[[dict[str, Any]], None]) -> None:
        """Call `hear` with every line of the statistics stream, until cancelled."""
        while True:
            try:
                await self._stream(hear)
            except (httpx.HTTPError, ValueError) as why:
                self._failed(str(why) or type(why).__name__)
            await asyncio.sleep(RETRY_S)

    async def _stream(self, hear: Callable[[dict[str, Any]], None]) -> None:
        async with self._client.stream("GET", "/v1/internal/stats?watch=1") as answer:
            if answer.status_code != 200:
                await answer.aread()
                self._failed(f"statistics answered {answer.status_code}")
                return
            async for text in answer.aiter_lines():
                if text:
                    self.problem = ""
                    hear(json.loads(text))

    def _failed(self, why: str) -> None:
        if why != self.problem:
            log.warning("orchestrator_unreachable", extra={"why": why})
        self.problem = why

    async def declare(self, agent: str, declaration: dict[str, Any]) -> bool | None:
        """PUT the pool; True when the agent was deleted, None when it could not be said."""
        answer = await self._put(f"/v1/internal/agents/{agent}/pool", declaration)
        return None if answer is None else bool(answer["closed"])

    async def tell(
        self, runner_id: str, intent: Intent, *, now: float, warn_before_s: float
    ) -> bool:
        """Relay the intent's command to the runner; False when it was not told."""
        deadline = None if intent.deadline is None else max(0.0, intent.deadline - now)
        body = {
            "drain_epoch": intent.drain_epoch,
            "mode": intent.mode.value,
            "deadline_in_s": deadline,
            "warn_before_s": warn_before_s,
            "reason": intent.reason.value if intent.reason else "",
        }
        answer = await self._put(f"/v1/internal/runners/{runner_id}/drain", body)
        return bool(answer and answer["told"])

    async def gone(self, runner_id: str) -> bool:
        """Say that the runner's process is over; True when that was heard."""
        try:
            answer = await self._client.delete(f"/v1/internal/runners/{runner_id}")
        except httpx.HTTPError:
            return False
        return answer.status_code in (200, 404)

    async def _put(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        try:
            answer = await self._client.put(path, json=body)
            if answer.status_code == 200:
                result: dict[str, Any] = answer.json()
                return result
            log.warning("orchestrator_refused", extra={"path": path, "answer": answer.text[:300]})
        except (httpx.HTTPError, ValueError) as why:
            log.debug("orchestrator_put_failed", extra={"path": path, "why": str(why)})
        return None
