"""A pool's world in which everything is killed, frozen, refused and restarted, by a seed."""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fakes.fault_proxy import NONE, SOME, FaultProxy
from fakes.operated import POOL, Operated, OperatorProcess, api_server_back, costs
from fakes.processes import Process
from fakes.stub_kubelet import SCHEDULER
from fakes.waiting import eventually
from paddock.client.callers import Outcome, Script, Tally, play_all
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.errors import KubeError, NotFound
from paddock_operator.backends.kubernetes.informer import Informer
from testbed.control_plane import ControlPlane

Json = dict[str, Any]
RUNNERS, SURGE = 6, 1
_TESTS = Path(__file__).parents[1]
_HOLDS_S = (2.0, 6.0, 14.0)
_SECOND_LEASE = "default"


class StubKubeletProcess(Process):
    """A namespace's kubelet, whose runners are played in a process of their own."""

    def __init__(self, world: "ChaoticWorld") -> None:
        super().__init__(world.folder, "kubelet")
        self._options = [
            "--kubeconfig", str(world.kubeconfig), "--namespace", world.namespace,
            "--node", world.node,
        ]  # fmt: skip

    def start(self) -> None:
        command = [sys.executable, "-m", "fakes.stub_kubelet", *self._options]
        self.spawn(command, {"PYTHONPATH": str(_TESTS)})

    def said(self, event: str) -> list[Json]:
        """What happened to runners."""
        lines = [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]


class PodCount:
    """The most pods there ever were at once, seen by a watch of the API server itself."""

    def __init__(self, client: KubeClient, path: str) -> None:
        self._informer: Informer[bool] = Informer(
            client, path, "", costs, on_change=lambda *_: self._count()
        )
        self.most = 0
        self.run = self._informer.run

    def _count(self) -> None:
        self.most = max(self.most, sum(self._informer.store.values()))

    @property
    def now(self) -> int:
        return sum(self._informer.store.values())


class ChaoticWorld(Operated):
    """Two operators that both lead, behind a proxy that injects faults.

    Each has a lease of its own: only the compare-and-swap of their writes keeps them apart.
    """

    scheduler = SCHEDULER

    def __init__(
        self, client: KubeClient, namespace: str, folder: Path, kubeconfig: Path, proxy: FaultProxy
    ) -> None:
        super().__init__(client, namespace, folder, kubeconfig)
        self.proxy = proxy
        self.stub = StubKubeletProcess(self)
        self.leases = (namespace, _SECOND_LEASE)
        self.operators = [
            OperatorProcess(
                folder, proxy.kubeconfig, namespace, f"operator-{n}", "--lease-namespace", lease
            )
            for n, lease in enumerate(self.leases)
        ]
        self.operator = self.operators[0]
        self.pod_count = PodCount(client, self.pods_path)
        self.happened: Counter[str] = Counter()
        self.bad: list[Outcome] = []
        """Calls that did not end well, as far as their callers know."""

    async def begin(self) -> None:
        self.stub.start()
        for operator in self.operators[1:]:
            operator.start()
        await super().begin()

    async def close(self) -> None:
        for process in (*self.operators, self.stub):
            process.kill()
        for lease in self.leases:
            await self.free(lease)
        await super().close()

    async def free(self, lease: str) -> None:
        """The lease of an operator that was killed: nobody waits until it is over."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{lease}/leases/paddock-operator"

        async def freed() -> bool:
            with contextlib.suppress(KubeError):  # the API server may be away
                with contextlib.suppress(NotFound):
                    await self.client.delete(path)
                return True
            return False

        await eventually(freed, within_s=60, what=f"the end of {path}")

    async def patch(self, spec: Json) -> None:
        """As soon as somebody takes it."""

        async def taken() -> bool:
            with contextlib.suppress(KubeError):
                await super(ChaoticWorld, self).patch(spec)
                return True
            return False

        await eventually(taken, within_s=60, what=f"patch of {spec}")

    async def bear(
        self, doings: Sequence[Awaitable[None]], *, seconds: float, rng: random.Random
    ) -> Tally:
        """Calls that come and go for so long while everything of `doings` is done."""
        tally = Tally()
        self.proxy.faults = SOME
        async with self.caller() as client:
            doing = [asyncio.ensure_future(each) for each in doings]
            calls = [
                play_all(
                    client, POOL, list(_arrivals(seconds, rng)), _script(hold_s), tally,
                    on_outcome=self._note,
                )
                for hold_s in _HOLDS_S
            ]  # fmt: skip
            try:
                await asyncio.gather(*calls)
            finally:
                for each in doing:
                    each.cancel()
                ended = await asyncio.gather(*doing, return_exceptions=True)
        self.proxy.faults = NONE
        for one in ended:
            if isinstance(one, Exception):
                raise one
        return tally

    def _note(self, outcome: Outcome) -> None:
        if outcome.kind not in ("completed", "refused") and outcome.session_id:
            self.bad.append(outcome)

    async def ends(self) -> dict[str, tuple[str, str]]:
        """How the calls that did not end well for their callers did for the orchestrator."""
        return {
            f"{one.session_id} {one.kind} {one.reason}": await self.server.ended(one.session_id)
            for one in self.bad
        }

    # -- what is done to it -----------------------------------------------------------------

    async def kill_operators(self, number: int, rng: random.Random) -> None:
        """Again and again, every 2 to 10 s: killed and started, or frozen for a while."""
        operator, lease = self.operators[number], self.leases[number]
        while True:
            await asyncio.sleep(rng.uniform(2, 10))
            if operator.exit_code is None and rng.random() < 0.25:
                operator.signal(signal.SIGSTOP)
                self.happened["operator frozen"] += 1
                try:
                    await asyncio.sleep(rng.uniform(1, 6))
                finally:
                    operator.signal(signal.SIGCONT)
                continue
            operator.kill()
            self.happened["operator killed"] += 1
            await self.free(lease)
            operator.start()

    async def restart_orchestrator(self, every_s: float, rng: random.Random) -> None:
        """Frozen, or killed and started: then its statistics begin at zero."""
        kinds = _in_turns(["frozen", "killed"], rng)
        while True:
            await asyncio.sleep(rng.uniform(0.5, 1.0) * every_s)
            kind = next(kinds)
            self.happened[f"orchestrator {kind}"] += 1
            if kind == "frozen":
                self.server.signal(signal.SIGSTOP)
                try:
                    await asyncio.sleep(rng.uniform(2, 18))
                finally:
                    self.server.signal(signal.SIGCONT)
            else:
                self.server.kill()
                await _to_its_end(self.server.start())

    async def restart_apiserver(
        self, plane: ControlPlane, every_s: float, rng: random.Random
    ) -> None:
        while True:
            await asyncio.sleep(rng.uniform(0.5, 1.0) * every_s)
            self.happened["API server restarted"] += 1
            await _to_its_end(_away(plane, rng.uniform(0.2, 4)))

    async def resize(self, every_s: float, rng: random.Random) -> None:
        """By hand, again and again: growth and shrinking without the grace of a restart."""
        while True:
            await asyncio.sleep(rng.uniform(0.5, 1.0) * every_s)
            self.happened["resized"] += 1
            await self.patch({"replicas": rng.randint(1, RUNNERS)})

    async def roll_out(self, every_s: float, rng: random.Random) -> None:
        """A new template, again and again; what it was called last."""
        revision = 1
        while True:
            await asyncio.sleep(rng.uniform(0.5, 1.0) * every_s)
            revision += 1
            self.happened["roll-out"] += 1
            await self.patch({"template": self.template(str(revision))})

    # -- what came of it --------------------------------------------------------------------

    async def converged(self, count: int, *, within_s: float) -> float:
        """Seconds until the pool has `count` runners of the last revision and no others."""
        began = time.monotonic()
        await self.patch({"replicas": count})
        for operator, lease in zip(self.operators, self.leases, strict=True):
            if operator.exit_code is not None:
                await self.free(lease)
                operator.start()
        await self.settled(count, within_s=within_s)

        async def only_new() -> bool:
            revision = (await self.status())["revision"]
            return bool(revision["current"] == revision["updated"])

        await eventually(only_new, within_s=within_s, what="the end of the roll-out")
        return time.monotonic() - began


async def _to_its_end(doing: Awaitable[None]) -> None:
    """Also when cancelled: half done it would leave the world broken."""
    task = asyncio.ensure_future(doing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


async def _away(plane: ControlPlane, seconds: float) -> None:
    await asyncio.to_thread(plane.stop_apiserver)
    await asyncio.sleep(seconds)
    await api_server_back(plane)


def _script(hold_s: float) -> Script:
    return Script(lines=("Hello!", "Bye then."), hold_s=hold_s, answer_timeout_s=60)


def _arrivals(seconds: float, rng: random.Random) -> Iterator[float]:
    """Two waves, each from next to nothing to more than the pool can take."""
    at = 0.0
    while True:
        at += rng.expovariate(1.5)
        if at >= seconds:
            return
        wave = (at / seconds * 2) % 1.0
        if rng.random() < (1.0 if 0.2 < wave < 0.6 else 0.15):
            yield at


def _in_turns(kinds: list[str], rng: random.Random) -> Iterator[str]:
    rng.shuffle(kinds)
    while True:
        yield from kinds


@contextlib.asynccontextmanager
async def chaotic(
    kubeconfig: Path, namespace: str, folder: Path, seed: int
) -> AsyncIterator[ChaoticWorld]:
    """Everything, and nothing of it afterwards."""
    async with (
        KubeClient.connect(kubeconfig) as client,
        FaultProxy(kubeconfig, folder, seed) as proxy,
    ):
        world = ChaoticWorld(client, namespace, folder, kubeconfig, proxy)
        counting = asyncio.create_task(world.pod_count.run())
        try:
            await world.begin()
            yield world
        finally:
            await world.close()
            counting.cancel()
            await asyncio.wait([counting])
            with contextlib.suppress(NotFound):
                await client.delete(f"/api/v1/nodes/{world.node}")


def seconds_and_seed() -> tuple[float, int]:
    """`PADDOCK_CHAOS_S` and `PADDOCK_CHAOS_SEED`, or what is usual: 40 s of any seed."""
    seed = os.environ.get("PADDOCK_CHAOS_SEED") or str(random.SystemRandom().randrange(1_000_000))
    return float(os.environ.get("PADDOCK_CHAOS_S", "40")), int(seed)
