"""What an operator process has of the orchestrator: a stream that breaks, and requests that are
lost before or after they arrive."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from fakes.simulated.chaos import Chaos
from fakes.simulated.orchestrator import Json, Orchestrator
from paddock_operator.plan.view import Intent
from paddock_operator.signals.commands import Command, Commands
from paddock_operator.signals.link import REQUEST_TIMEOUT_S


class Caller(Protocol):
    """The process that makes the requests."""

    def here(self, what: str) -> None:
        """A point at which it may crash; it does not return then."""
        ...

    def told(self, runner_id: str, intent: Intent, instance: str) -> None:
        """For the judge: this command was sent."""
        ...

    def heard(self) -> None:
        """For the judge: a line of statistics was taken in."""
        ...


class SimulatedLink:
    """Open until closed. Nothing is raised."""

    def __init__(self, orchestrator: Orchestrator, chaos: Chaos, caller: Caller) -> None:
        self._orchestrator = orchestrator
        self._chaos = chaos
        self._caller = caller
        self._commands = Commands(self._command, timeout_s=REQUEST_TIMEOUT_S)
        self.problem = ""
        self.heard = False
        self.key_refused = False

    async def close(self) -> None:
        await self._commands.close()

    async def follow(self, hear: Callable[[Json], None]) -> None:
        while True:
            if self._orchestrator.up:
                self.problem = ""
                await self._stream(hear)
            self.problem = "refused"
            await asyncio.sleep(self._chaos.soon(1.0))

    async def _stream(self, hear: Callable[[Json], None]) -> None:
        orchestrator, boot = self._orchestrator, self._orchestrator.boot
        seq, sent = 0, dict[str, Json]()
        frozen: Json | None = None
        while orchestrator.up and orchestrator.boot == boot and not self._chaos.happens(0.01):
            now = orchestrator.statistics()
            if orchestrator.frozen:
                now = frozen = frozen or now
            else:
                frozen = None
            seq += 1
            runners = {each["runner_id"]: each for each in now["runners"]}
            line = {
                **now,
                "seq": seq,
                "runners": [each for name, each in runners.items() if sent.get(name) != each],
                "gone": [name for name in sent if name not in runners],
            }
            sent = runners
            await asyncio.sleep(self._chaos.sometime(0.02, 25.0, 0.01))
            self._caller.here(f"hears line {seq}")
            self._caller.heard()
            self.heard = True
            hear(line)
            if self._chaos.happens(0.02):
                hear({**line, "gone": list(line["gone"])})
            await self._news(1.0)

    async def _news(self, within_s: float) -> None:
        news = self._orchestrator.news
        news.clear()
        try:
            async with asyncio.timeout(within_s):
                await news.wait()
        except TimeoutError:
            pass

    async def declare(self, agent: str, declaration: Json) -> bool | None:
        if not await self._arrives("declares"):
            return None
        self._orchestrator.declared(declaration)
        return False if await self._answered("declared") else None

    def stands(self, agent: str) -> bool:
        """Every declaration is made in full: a renewal says nothing that it does not."""
        return False

    def renew(self, agent: str) -> None:
        raise AssertionError("nothing stands")

    async def tell(
        self,
        runner_id: str,
        intent: Intent,
        *,
        instance: str,
        now: float,
        warn_before_s: float,
    ) -> bool:
        self._caller.told(runner_id, intent, instance)
        deadline_s = None if intent.deadline is None else max(0.0, intent.deadline - now)
        body = {
            "runner_id": runner_id, "instance": instance,
            "drain_epoch": intent.drain_epoch, "mode": intent.mode.value,
            "deadline_in_s": deadline_s, "reason": intent.reason.value if intent.reason else "",
        }  # fmt: skip
        return await self._commands.tell(body)

    async def _command(self, drains: list[Command]) -> list[bool] | None:
        for body in drains:
            if self._chaos.happens(0.2):
                late_s = self._chaos.random.random() * 30.0
                asyncio.get_running_loop().call_later(late_s, self._orchestrator.command, body)
        if not await self._arrives("tells " + ", ".join(map(_gist, drains))):
            return None
        told = [self._orchestrator.command(body) for body in drains]
        return told if await self._answered("told") else None

    async def gone(self, runner_id: str, instance: str) -> bool:
        if not await self._arrives(f"says that {runner_id} is gone"):
            return False
        self._orchestrator.gone(runner_id, instance)
        return await self._answered("gone")

    async def _arrives(self, what: str) -> bool:
        self._caller.here(what)
        await asyncio.sleep(self._chaos.sometime(0.01, 5.0))
        return self._orchestrator.up and not self._chaos.happens(0.05)

    async def _answered(self, what: str) -> bool:
        self._caller.here(f"has {what}")
        await asyncio.sleep(self._chaos.soon(0.01))
        return not self._chaos.happens(0.05)


def _gist(body: Command) -> str:
    return f"{body['runner_id']} {body['mode']} {body['drain_epoch']}"
