"""What is played, and what is counted while it plays."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from paddock.client.callers import Script, Tally, play_all
from paddock.client.client import AsyncClient
from stage import NAME, Stage

RAMP_S, BURST_AT_S, KILL_AT_S, ROLL_AT_S, FADE_S = 20.0, 22.0, 27.0, 31.0, 55.0
BURST = 26
SETTLE_S = 40.0
HOLD_S = (5.0, 12.0)


@dataclass
class Show:
    """One performance."""

    stage: Stage
    client: AsyncClient
    say: Callable[[str], None]
    tally: Tally = field(default_factory=Tally)
    pool: dict[str, Any] = field(default_factory=dict)
    """The pool as the orchestrator last showed it."""
    history: list[int] = field(default_factory=list)
    peak_demand: int = 0
    peak_runners: int = 0
    killed: str = ""
    on_killed: set[str] = field(default_factory=set)
    began: float = field(default_factory=time.monotonic)
    act: str = "warming up"
    _looked: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.began

    async def perform(self) -> None:
        """Ramp, burst, a killed runner, a roll-out, a fade, and back to the minimum."""
        async with self._watching():
            await self._until(lambda: self.pool.get("ready", 0) >= 1, 30.0)
            self.began = time.monotonic()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._callers())
                group.create_task(self._at(0.0, "ramp: more and more callers", None))
                group.create_task(self._at(BURST_AT_S, f"burst: {BURST} callers at once", None))
                group.create_task(self._at(KILL_AT_S, "kill -9 of the busiest runner", self._kill))
                group.create_task(self._at(ROLL_AT_S, "roll-out: a new revision", self._roll))
            self._begin("settling: the pool goes back to its minimum")
            await self._until(self._settled, SETTLE_S)

    async def _callers(self) -> None:
        dice = random.Random(7)
        arrivals = [(n + 0.5) ** 0.5 * 5.0 for n in range(16)]
        arrivals += [BURST_AT_S + n * 0.01 for n in range(BURST)]
        fade = [ROLL_AT_S + 1.0 + n * 0.7 for n in range(18)]
        arrivals += [at for at in fade if at < FADE_S - 8.0]
        async with asyncio.TaskGroup() as group:
            for at in sorted(arrivals):
                hold_s = dice.uniform(*HOLD_S)
                script = Script(("Hello!", "What can you do?", "Good bye."), hold_s=hold_s)
                group.create_task(play_all(self.client, NAME, [at], script, self.tally))

    async def _at(self, at: float, act: str, do: Callable[[], Any] | None) -> None:
        await asyncio.sleep(max(0.0, self.began + at - time.monotonic()))
        self._begin(act)
        if do is not None:
            await do()

    def _begin(self, act: str) -> None:
        self.act = act
        self.say(act)

    async def _kill(self) -> None:
        runners = self.pool.get("runners", [])
        busiest = max(
            (r for r in runners if r["stage"] == "serving"), key=lambda r: r["sessions"] or 0
        )
        self.killed = busiest["runner"]
        self.stage.kill_runner(self.killed)

    async def _roll(self) -> None:
        self.stage.roll_out()

    def _settled(self) -> bool:
        runners = self.pool.get("runners", [])
        return (
            len(runners) == 1
            and runners[0]["stage"] == "serving"
            and runners[0]["revision"] == self.pool.get("revision")
            and self.tally.in_flight == 0
        )

    async def _until(self, done: Callable[[], bool], timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not done():
                    self._looked.clear()
                    await self._looked.wait()

    @contextlib.asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()

    async def _watch(self) -> None:
        while True:
            agents = await self.client.agents.list()
            for agent in agents:
                if agent.agent == NAME:
                    self.pool = {**agent.pool, "view": agent}
                    self.history.append(agent.in_flight)
                    self.peak_demand = max(self.peak_demand, agent.in_flight + agent.queued)
                    alive = [r for r in agent.pool.get("runners", []) if r["stage"] != "gone"]
                    self.peak_runners = max(self.peak_runners, len(alive))
            self._looked.set()
            await asyncio.sleep(0.25)
