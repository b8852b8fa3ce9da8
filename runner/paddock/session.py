"""The control surface of one live call, as an entrypoint uses it."""

import asyncio
import contextlib
import logging
from typing import Any

from paddock._bridge import BridgeLink, Ending
from paddock._turns import Turns
from paddock.adapters.dialog import DialogAdapter, as_adapter
from paddock.errors import SessionEnded
from paddock.hooks import Handler, Hooks
from paddock.metrics import MetricsTracker
from paddock.protocol import bridge, features

log = logging.getLogger("paddock.session")

EVENTS = (
    "call_start", "user_turn", "user_partial", "agent_turn", "interruption", "metric", "state",
    "error", "call_end", "turn_complete", "drain_warning",
)  # fmt: skip
END_TIMEOUT_S = 5.0
"""How long `end` waits for the other side to close before it counts the call as over."""


class Session:
    """One call. Made by the runner; an entrypoint finds it at `ctx.session`."""

    def __init__(self, bridge_link: BridgeLink) -> None:
        self.data: dict[str, Any] = {}
        """Scratch space of this call."""
        self.recording = Recording(bridge_link)
        self._bridge = bridge_link
        self._hooks = Hooks(EVENTS)
        self._metrics = MetricsTracker()
        self._turns = Turns(bridge_link, self._hooks, self._metrics)
        self._ran = False

    async def say(self, text: str) -> None:
        """Speak `text`; returns at once. Raises `SessionEnded` after the call."""
        if not isinstance(text, str):
            raise TypeError(f"say: got {type(text).__name__}, expected a string")
        if text:
            await self._bridge.send(bridge.AgentSay, text=text)

    async def interrupt(self) -> None:
        """Stop what is being said, and the reply that is being made."""
        await self._turns.interrupt()

    async def set_filler(self, text: str) -> None:
        """What is played while the caller waits for a reply; "" is nothing."""
        if features.CONTROLS in self._bridge.features:
            await self._bridge.send(bridge.AgentFiller, text=text)

    async def transfer_to_human(self, queue: str) -> None:
        """Cold transfer to a queue of people. The session ends as `transferred`."""
        await self._transfer("human", queue)

    async def transfer_to_agent(self, agent_id: str) -> None:
        """Cold transfer to another agent. The session ends as `transferred`."""
        await self._transfer("agent", agent_id)

    async def _transfer(self, kind: str, target: str) -> None:
        await self._bridge.send(bridge.AgentTransfer, transfer_type=kind, target=target)
        self._bridge.end("transferred", target)

    async def end(self, reason: str = "completed") -> None:
        """End the call. Returns when the other side has closed, after 5 s at most.

        Ending an ended call changes nothing.
        """
        with contextlib.suppress(SessionEnded):
            await self._bridge.send(bridge.AgentEndCall, reason=reason)
        try:
            async with asyncio.timeout(END_TIMEOUT_S):
                await asyncio.shield(self._bridge.over)
        except TimeoutError:
            self._bridge.end(reason)

    async def run(self) -> None:
        """Keep the call alive until it ends: fire hooks, route user turns to the dialog machine.

        What stands after it in the entrypoint is post-call cleanup and always runs.
        """
        if self._ran:
            raise RuntimeError("run() was called before; it runs once for each call")
        self._ran = True
        await self._hooks.fire("call_start")
        try:
            await self._turns.run()
        finally:
            ending = self.ending or Ending("cancelled")
            await self._hooks.fire("call_end", ending.reason)

    def on(self, event: str) -> Any:
        """Decorator: call a function on an event. Raises ValueError for an unknown event."""
        return self._hooks.on(event)

    @property
    def dialog_machine(self) -> DialogAdapter | None:
        """The brain that answers user turns."""
        return self._turns.adapter

    @dialog_machine.setter
    def dialog_machine(self, brain: object) -> None:
        self._turns.adapter = None if brain is None else as_adapter(brain)

    @property
    def metrics(self) -> MetricsTracker:
        return self._metrics

    @property
    def ending(self) -> Ending | None:
        """How the call ended; None while it is on."""
        return self._bridge.over.result() if self._bridge.over.done() else None

    def _happened(self, event: Any) -> None:
        self._turns.put(event)

    async def _warn(self, seconds: float) -> None:
        await self._hooks.fire("drain_warning", seconds)


class Recording:
    """Pauses and resumes the recording; does nothing when the call is not recorded."""

    def __init__(self, bridge_link: BridgeLink) -> None:
        self._bridge = bridge_link

    async def pause(self, reason: str = "") -> None:
        """Stop recording, before card numbers for instance."""
        await self._send("pause", reason)

    async def resume(self) -> None:
        await self._send("resume", "")

    async def _send(self, action: str, reason: str) -> None:
        if self._bridge.recording and features.CONTROLS in self._bridge.features:
            await self._bridge.send(bridge.AgentRecording, action=action, reason=reason)


__all__ = ["Handler", "Recording", "Session"]
