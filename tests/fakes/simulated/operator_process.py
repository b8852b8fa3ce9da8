"""A process of the real operator, whose every word to the outside may be lost or be its last."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NoReturn, Protocol, cast

import aiohttp
import msgspec
from kubernetes.aio.client import Configuration

from fakes.simulated.api_server import ApiServer, Refused
from fakes.simulated.chaos import Chaos
from fakes.simulated.link import SimulatedLink
from fakes.simulated.orchestrator import Orchestrator
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.errors import (
    CONNECTION_LOST,
    NOT_CONNECTED,
    TIMED_OUT,
    KubeError,
    ServerUnavailable,
    error_of,
)
from paddock_operator.backends.kubernetes.learned import LearnedStates
from paddock_operator.backends.kubernetes.operator import Operator
from paddock_operator.backends.kubernetes.transport import Transport
from paddock_operator.backends.kubernetes.words import connections_path, pools_path
from paddock_operator.observe.metrics import Metrics
from paddock_operator.plan.view import Intent
from paddock_operator.reconcile.clock import Clock

LOST_S = 5.0
BOOKMARK_S = 50.0


class Judge(Protocol):
    def step(self, what: str) -> None: ...
    def told(self, runner_id: str, intent: Intent, instance: str) -> None: ...
    def broken(self, why: str) -> NoReturn: ...


class Surroundings(Protocol):
    """What a process finds where it is started."""

    namespace: str
    api: ApiServer
    api_is_up: bool
    orchestrator: Orchestrator
    chaos: Chaos
    crashes: float
    """Probability that a call of ours is the process's last."""

    @property
    def judge(self) -> Judge: ...
    def wall(self) -> float: ...
    def surprised(self) -> None:
        """Something was written that no operator can know of yet."""
        ...


class OperatorProcess:
    """Begins at once, with nothing in its memory."""

    def __init__(self, name: str, around: Surroundings, on_end: Callable[[], None]) -> None:
        self.name = name
        self.alive = True
        self.around = around
        self.begun = False
        self.skew_s = 0.0
        """How far its clock is off."""
        self.heard_at = float("-inf")
        """When statistics were last taken in."""
        self._on_end = on_end
        loop = asyncio.get_running_loop()
        clock = Clock(wall=lambda: around.wall() + self.skew_s, mono=loop.time)
        client = KubeClient(SimulatedTransport(self, clock))
        self.operator = Operator(
            client, Metrics(clock.wall), LearnedStates(client, around.namespace),
            namespace=around.namespace, clock=clock,
            connect=lambda url, api_key, *, ca, changed: SimulatedLink(
                around.orchestrator, around.chaos, self
            ),
        )  # fmt: skip
        self._client = client
        self._task = loop.create_task(self.operator.run(self._watch))
        self._task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled() or not self.alive:
            return
        why = task.exception()
        while isinstance(why, BaseExceptionGroup):
            why = why.exceptions[0]
        if not isinstance(why, KubeError) or self.begun:
            self.around.judge.broken(f"{self.name} ended by itself: {why!r}")
        self.crash()  # it never got to know the cluster, and is started again

    def crash(self) -> None:
        """It is gone between two instructions; nothing of it is heard again."""
        if self.alive:
            self.alive = False
            self._task.cancel()
            self._on_end()

    def here(self, what: str) -> None:
        if self.alive:
            self.around.judge.step(f"{self.name} {what}")
            if self.around.chaos.happens(self.around.crashes):
                self.around.judge.step(f"{self.name} crashes")
                self.crash()
        if not self.alive:
            raise asyncio.CancelledError

    def told(self, runner_id: str, intent: Intent, instance: str) -> None:
        if self.alive:
            self.around.judge.told(runner_id, intent, instance)

    def heard(self) -> None:
        self.heard_at = asyncio.get_running_loop().time()

    async def _watch(self, operator: Operator) -> None:
        """In the place of the framework: tells of its own listing and of every event after it."""
        self.begun = True
        namespace = self.around.namespace
        async with asyncio.TaskGroup() as group:
            path = connections_path(namespace)
            group.create_task(self._follow(path, operator.connection_seen))
            group.create_task(self._follow(pools_path(namespace), operator.pool_seen))

    async def _follow(self, path: str, seen: Callable[[str | None, dict[str, Any]], None]) -> None:
        while True:
            try:
                listing = await self._client.list(path)
                for item in listing.items:
                    seen(None, item)
                version = listing.resource_version
                async for event in self._client.watch(path, resource_version=version):
                    if event.type != "BOOKMARK":
                        seen(event.type, event.object)
            except KubeError:
                pass
            await asyncio.sleep(self.around.chaos.soon(1.0))


async def _no_access() -> Configuration:
    raise AssertionError("nothing is sent")


class SimulatedTransport(Transport):
    """The real one but for the sockets: retries, limits and errors are its own."""

    def __init__(self, process: OperatorProcess, clock: Clock) -> None:
        super().__init__(_no_access, clock=clock.mono)
        self._process = process
        self._around = process.around

    async def _credential(self) -> int:
        return 1

    async def _attempt(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: object,
        content_type: str,
        verb: str,
    ) -> bytes:
        chaos, process = self._around.chaos, self._process
        process.here(f"asks {method} {path}")
        await asyncio.sleep(chaos.sometime(0.01, 3.0))
        if not self._around.api_is_up:
            raise ServerUnavailable("refused", reason=NOT_CONNECTED)
        if chaos.happens(0.02):
            await asyncio.sleep(LOST_S)
            raise ServerUnavailable("the request was lost", reason=TIMED_OUT)
        if chaos.happens(0.02):
            status, reason = chaos.random.choice(
                ((429, "TooManyRequests"), (500, "InternalError"), (503, "ServiceUnavailable"))
            )
            raise error_of(status, {"reason": reason, "message": "by chance"})
        asked = (process.name, method, path, query or {}, body, content_type)
        if chaos.happens(0.01):
            late_s = LOST_S + chaos.random.random() * 30.0
            asyncio.get_running_loop().call_later(late_s, self._late, *asked)
            await asyncio.sleep(LOST_S)
            raise ServerUnavailable("the request is still on its way", reason=TIMED_OUT)
        try:
            answer = self._around.api.handle(*asked)
        except Refused as why:
            raise error_of(why.status, why.body) from None
        process.here(f"did {method} {path}")
        if chaos.happens(0.03):
            raise ServerUnavailable("the answer was lost", reason=CONNECTION_LOST)
        raw = msgspec.json.encode(answer)
        await asyncio.sleep(chaos.sometime(0.01, 3.0))
        process.here(f"heard of {method} {path}")
        return raw

    def _late(self, who: str, *asked: Any) -> None:
        if self._around.api_is_up:
            self._around.judge.step(f"{who}'s late {asked[0]} {asked[1]} arrives")
            with contextlib.suppress(Refused):
                self._around.api.handle(f"{who}, late", *asked)
                self._around.surprised()

    async def stream(
        self, path: str, query: Mapping[str, str], *, verb: str
    ) -> aiohttp.ClientResponse:
        self._process.here(f"watches {path}")
        await asyncio.sleep(self._around.chaos.soon(0.01))
        if not self._around.api_is_up:
            raise ServerUnavailable("refused", reason=NOT_CONNECTED)
        watch = _Watch(self._process, path, query)
        return cast("aiohttp.ClientResponse", watch)


class _Watch:
    """An open answer. In order, but as late as it likes; it may repeat itself, or break."""

    def __init__(self, process: OperatorProcess, path: str, query: Mapping[str, str]) -> None:
        self._process = process
        self._around = process.around
        self._path = path
        self._version = int(query["resourceVersion"])
        self._until = asyncio.get_running_loop().time() + float(query["timeoutSeconds"])
        self.content = self

    def close(self) -> None:
        return

    async def iter_any(self) -> AsyncIterator[bytes]:
        around, loop = self._around, asyncio.get_running_loop()
        quiet_since = loop.time()
        while loop.time() < self._until:
            if not around.api_is_up or around.chaos.happens(0.002):
                raise aiohttp.ClientPayloadError("the watch broke")
            try:
                event = around.api.log(self._path).after(self._version)
            except Refused as why:
                yield _line("ERROR", why.body)
                return
            if event is None:
                if loop.time() - quiet_since > BOOKMARK_S:
                    quiet_since = loop.time()
                    self._version = around.api.version
                    version = {"resourceVersion": str(self._version)}
                    yield _line("BOOKMARK", {"metadata": version})
                await asyncio.sleep(0.2)
                continue
            quiet_since = loop.time()
            await asyncio.sleep(around.chaos.sometime(0.01, 30.0, 0.02))
            self._version, kind, obj = event
            self._process.here(f"sees {kind} {obj['metadata']['name']} at {self._version}")
            for _ in range(2 if around.chaos.happens(0.05) else 1):
                yield _line(kind, obj)


def _line(kind: str, obj: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({"type": kind, "object": obj}) + b"\n"


class Complaints(logging.Handler):
    """Passes that failed for another reason than the API server's."""

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self._judge = judge

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self._judge.broken(f"{record.getMessage()}: {record.exc_info[1]!r}")
