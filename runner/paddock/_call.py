"""One job from acceptance to a free slot: dial, entrypoint once, clean-up always, end reported."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from paddock._bridge import BridgeLink, Ending, utc_ms
from paddock._exits import contained
from paddock.context import CallContext
from paddock.errors import SessionEnded
from paddock.hooks import Hooks
from paddock.protocol import control
from paddock.session import Session

log = logging.getLogger("paddock.call")

CLEANUP_TIMEOUT_S = 30.0
"""How long an entrypoint may take to finish after its call is over."""
_NUMBERS = ("user_number", "caller_number", "to_number", "from_number")

Entrypoint = Callable[[CallContext], Awaitable[None]]


@dataclass(eq=False)
class Call:
    """Runs one job. `report` is told `active`, `ending` and `ended`, in this order."""

    assign: control.JobAssign
    entrypoint: Entrypoint
    hooks: Hooks
    runner_id: str
    report: Callable[[str, str, Ending], None]
    link: BridgeLink = field(init=False)
    session: Session = field(init=False)
    _wanted: Ending | None = None
    _dial: asyncio.Task[Any] | None = None

    def __post_init__(self) -> None:
        assign = self.assign
        self.link = BridgeLink(assign.bridge_url, assign.call_token, self._happened)
        self.session = Session(self.link)

    def _happened(self, event: Any) -> None:
        self.session._happened(event)

    def end(self, reason: str, detail: str = "") -> None:
        """End the call from outside the entrypoint, which then gets its clean-up."""
        self.link.end(reason, detail)
        if self._dial is not None:
            self._dial.cancel()

    async def warn(self, seconds: float) -> None:
        """Tell the agent that the call will be ended in `seconds`."""
        await self.session._warn(seconds)

    async def run(self) -> Ending:
        """The whole life of the job. Never raises but for cancellation of the process's end."""
        ending = Ending("error", "runner failed")
        try:
            started = await self._dialled()
            if started is None:
                ending = self._ending(Ending("cancelled"))
            else:
                ending = await self._talk(self._context(started))
        except asyncio.CancelledError:
            ending = self._ending(Ending("terminated", "runner forced to stop"))
            raise
        except Exception as why:
            log.exception("call_failed", extra={"session": self.assign.call_id})
            ending = Ending("error", f"{type(why).__name__}: {why}"[:200])
        finally:
            self.report("ended", self.assign.job_id, ending)
        return ending

    async def _dialled(self) -> Any:
        """`call.started`, or None when the call was over before it began."""
        self._dial = asyncio.ensure_future(self.link.dial())
        try:
            return await self._dial
        except SessionEnded as why:
            self.link.end(why.reason, why.detail)
            return None
        except asyncio.CancelledError:
            if self.link.over.done():
                return None
            self._dial.cancel()
            raise
        finally:
            self._dial = None

    async def _talk(self, ctx: CallContext) -> Ending:
        reading = asyncio.create_task(self.link.serve())
        self.report("active", self.assign.job_id, Ending(""))
        await self.hooks.fire("call_start", ctx)
        work = asyncio.create_task(contained(self.entrypoint, ctx))
        failure: Ending | None = None
        try:
            await asyncio.wait((work, self.link.over), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                self.report("ending", self.assign.job_id, Ending(""))
            failure = await self._finished(work)
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await work
            ending = self._ending(failure or Ending("completed"))
            await self.link.close()
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
        await self.hooks.fire("call_end", ctx, ending.reason)
        return ending

    async def _finished(self, work: "asyncio.Task[None]") -> Ending | None:
        """Wait for the entrypoint's clean-up, within its bound; how it failed, if it did."""
        timeout_s = CLEANUP_TIMEOUT_S if self.link.over.done() else None
        done, _ = await asyncio.wait((work,), timeout=timeout_s)
        if not done:
            log.warning("cleanup_cut", extra={"session": self.assign.call_id})
            return None
        if work.cancelled():
            return Ending("cancelled", "the entrypoint was cancelled")
        why = work.exception()
        if why is None or isinstance(why, SessionEnded):
            return None
        log.error("entrypoint_failed", exc_info=why, extra={"session": self.assign.call_id})
        return Ending("error", f"{type(why).__name__}: {why}"[:200])

    def _ending(self, otherwise: Ending) -> Ending:
        """How the call ended: a failure of the entrypoint first, then the first word about it."""
        if otherwise.reason == "error" or not self.link.over.done():
            return otherwise
        return self.link.over.result()

    def _context(self, started: Any) -> CallContext:
        meta = started.metadata
        facts: dict[str, Any] = msgspec.json.decode(meta) if isinstance(meta, msgspec.Raw) else meta
        data = facts.get("data")
        return CallContext(
            call_id=self.assign.call_id,
            session_id=started.session_id,
            agent_id=started.agent_id or self.assign.agent_id,
            direction=facts.get("direction") or "inbound",
            user_number=next((facts[n] for n in _NUMBERS if facts.get(n)), ""),
            instructions=facts.get("instructions"),
            data=data if data is not None else {},
            session=self.session,
            runner_id=self.runner_id,
        )


__all__ = ["Call", "Entrypoint", "utc_ms"]
