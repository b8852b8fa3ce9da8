"""The main loop of a call: events in, hooks fired, turns streamed, barge-in honoured.

`user_turn` fires when the words arrive, also while a reply streams, and an interrupt stops that
reply at once: a caller who says "stop" is heard.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from typing import Any

from paddock._bridge import BridgeLink
from paddock._exits import contained
from paddock.adapters.dialog import DialogAdapter, stream_reply
from paddock.errors import SessionEnded
from paddock.hooks import Hooks
from paddock.metrics import MetricsTracker
from paddock.protocol import bridge, features

log = logging.getLogger("paddock.session")

MAX_WAITING_EVENTS = 10_000


class Turns:
    """One call's conversation."""

    def __init__(self, link: BridgeLink, hooks: Hooks, metrics: MetricsTracker) -> None:
        self.adapter: DialogAdapter | None = None
        self._link = link
        self._hooks = hooks
        self._metrics = metrics
        self._events: asyncio.Queue[Any] = asyncio.Queue(MAX_WAITING_EVENTS)
        self._waiting: deque[bridge.UserText] = deque()
        self._turn: asyncio.Task[None] | None = None
        self._turn_id = 0
        self._interrupted = False

    def put(self, event: Any) -> None:
        """An event from the bridge. Beyond the bound the oldest is dropped."""
        if self._events.full():
            self._events.get_nowait()
        self._events.put_nowait(event)

    async def run(self) -> None:
        """Until the call is over. Whatever of it is still running then is stopped."""
        over = self._link.over
        getting: asyncio.Task[Any] | None = None
        try:
            while not over.done():
                getting = asyncio.ensure_future(self._events.get())
                await asyncio.wait((getting, over), return_when=asyncio.FIRST_COMPLETED)
                if getting.done():
                    await self._handle(getting.result())
            while not self._events.empty():
                await self._handle(self._events.get_nowait(), after=True)
        finally:
            if getting is not None and not getting.done():
                getting.cancel()
            await self._stop_turn()
            self._metrics.stop()

    async def interrupt(self) -> None:
        """Stop the utterance: the reply under way, and what is being spoken."""
        self._waiting.clear()
        was_replying = await self._stop_turn()
        if features.CONTROLS in self._link.features:
            await self._link.send(bridge.AgentInterrupt)
        elif not was_replying:
            await self._link.send(bridge.AgentTextEnd)

    async def _handle(self, event: Any, *, after: bool = False) -> None:
        match event:
            case bridge.UserText(is_final=False):
                await self._hooks.fire("user_partial", event.text)
            case bridge.UserText():
                self._interrupted = False
                await self._hooks.fire("user_turn", event.text)
                if not self._interrupted and not after:
                    self._waiting.append(event)
                    self._next_turn()
            case bridge.UserInterrupted():
                await self._barge_in(event)
            case bridge.BridgeError():
                await self._hooks.fire(
                    "error", event.code, event.message, event.severity, event.source
                )
            case bridge.Metric():
                if event.cost_usd_so_far is not None:
                    self._metrics.spent(event.cost_usd_so_far)
                await self._hooks.fire("metric", event)
            case bridge.TurnMetrics():
                self._metrics.media(event.asr_ms, event.tts_ttfb_ms)
            case bridge.State():
                await self._hooks.fire("state", event)

    def _next_turn(self) -> None:
        if self.adapter is None:
            self._waiting.clear()
            return
        if self._turn is None and self._waiting:
            reply = contained(self._reply, self._waiting.popleft(), self.adapter)
            self._turn = asyncio.create_task(reply)
            self._turn.add_done_callback(self._turn_done)

    def _turn_done(self, task: asyncio.Task[None]) -> None:
        if self._turn is task:
            self._turn = None
        if not task.cancelled() and task.exception() is not None:
            why = task.exception()
            if isinstance(why, SessionEnded):
                return
            log.error("turn_failed", exc_info=why)
            detail = f"{type(why).__name__}: {why}"
            self._link.end("error", detail[:200])
            return
        if not self._link.over.done():
            self._next_turn()

    async def _reply(self, heard: bridge.UserText, adapter: DialogAdapter) -> None:
        self._turn_id += 1
        language = (heard.extra or {}).get("language")
        began = time.monotonic()
        first_ms: float | None = None
        said: list[str] = []
        chunks = stream_reply(adapter, heard.text, language)
        try:
            async for chunk in chunks:
                if not chunk:
                    continue
                if first_ms is None:
                    first_ms = (time.monotonic() - began) * 1000.0
                said.append(chunk)
                await self._link.send(bridge.AgentTextDelta, text=chunk)
        finally:
            with contextlib.suppress(Exception):
                close = getattr(chunks, "aclose", None)
                if close is not None:
                    await close()
            with contextlib.suppress(SessionEnded):
                await self._link.send(bridge.AgentTextEnd)
        await self._turn_over(heard.text, "".join(said), first_ms)
        if getattr(adapter, "is_complete", False) is True:
            await self._link.send(bridge.AgentEndCall, reason="completed")

    async def _turn_over(self, heard: str, said: str, first_ms: float | None) -> None:
        self._metrics.turn(first_ms or 0.0)
        if said:
            await self._hooks.fire("agent_turn", said)
        await self._hooks.fire(
            "turn_complete",
            turn_id=self._turn_id,
            llm_ttft_ms=first_ms,
            user_text=heard,
            agent_text=said,
        )

    async def _barge_in(self, event: bridge.UserInterrupted) -> None:
        await self._stop_turn()
        mark = getattr(self.adapter, "mark_interrupted", None)
        if callable(mark):
            mark(event.heard_prefix)
        await self._hooks.fire("interruption")

    async def _stop_turn(self) -> bool:
        """Cancel the reply under way; True when there was one."""
        self._interrupted = True
        task, self._turn = self._turn, None
        if task is None or task is asyncio.current_task():
            return False
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
        return True
