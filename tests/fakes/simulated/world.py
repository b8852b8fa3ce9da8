"""A pool's whole world in virtual time, its troubles, and the peace after them."""

import asyncio
import base64
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any

from fakes.simulated.api_server import ApiServer, Json, Refused
from fakes.simulated.chaos import Chaos
from fakes.simulated.judge import Broken, Judge
from fakes.simulated.kubelet import NODES, Kubelet
from fakes.simulated.loop import VirtualLoop
from fakes.simulated.operator_process import Complaints, OperatorProcess
from fakes.simulated.orchestrator import Orchestrator
from fakes.simulated.runner import RunnerProcess
from fakes.simulated.troubles import Troubles
from paddock.protocol.runner_link import RunnerLink
from paddock.protocol.words import Mode
from paddock_operator.backends.kubernetes.intents import intent_of
from paddock_operator.backends.kubernetes.words import REVISION, connections_path, pools_path
from paddock_operator.model.revision import template_revision
from paddock_operator.reconcile.passes import Pass

EPOCH = 1_800_000_000.0
NAMESPACE = "sim"
POOL = "desk"
PEACE_S = 1200.0
"""Within so much virtual time after the last fault everything is as it was declared."""
STEADY_S = 5.0


@dataclass(frozen=True)
class Verdict:
    """How a run went."""

    seed: int
    steps: int
    seconds: float
    """Of virtual time."""
    problem: str
    trace: tuple[str, ...]
    counts: dict[str, int]

    @property
    def holds(self) -> bool:
        return not self.problem


def simulate(
    seed: int,
    steps: int,
    *,
    theme: tuple[str, ...] | None = None,
    runner_link: Callable[..., RunnerLink] = RunnerLink,
) -> Verdict:
    """One world of this seed: about `steps` steps of trouble, peace, and the end of the pool.

    `theme`: the only troubles there are; without, what the seed says.
    """
    random.seed(seed)  # what the operator itself draws
    logger = logging.getLogger("paddock")
    level, propagate = logger.level, logger.propagate
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        world = World(seed, theme, runner_link)
        complaints = Complaints(world.judge)
        logger.addHandler(complaints)
        logger.setLevel(logging.WARNING)
        logger.propagate = False
        try:
            return runner.run(world.play(steps))
        finally:
            logger.removeHandler(complaints)
            logger.setLevel(level)
            logger.propagate = propagate


class World:
    """Everything that is true. What others know of it is late, partial, or wrong."""

    namespace = NAMESPACE

    def __init__(
        self, seed: int, theme: tuple[str, ...] | None, runner_link: Callable[..., RunnerLink]
    ) -> None:
        self.seed = seed
        self.theme = theme
        self.chaos = Chaos(Random(seed))
        self.chaos.slowness = self.chaos.random.choice((0.3, 1.0, 1.0, 4.0))
        self.judge = Judge(self)
        self.runner_link = runner_link
        self.runners: dict[str, RunnerProcess] = {}
        self.operators: dict[str, OperatorProcess] = {}
        self.api_is_up = True
        self.crashes = 0.0
        self.begun = 0
        self.wanted_operators = 1
        self.spec: Json = {}
        self._allowed: list[tuple[float, int]] = []
        self._known_since = float("-inf")
        """Since when each pod there is was made by the operator at work, or told to it long ago:
        what another one creates, or a request that was given up, the watch may tell late."""

    # -- for everybody ----------------------------------------------------------------------

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return EPOCH + self.now

    def pods(self) -> list[Json]:
        return self.api.of(f"/api/v1/namespaces/{NAMESPACE}/pods")

    def pools(self) -> list[Json]:
        return self.api.of(pools_path(NAMESPACE))

    def heard_at(self, operator: str) -> float | None:
        process = self.operators.get(operator)
        return None if process is None else process.heard_at

    def may_have(self, operator: str) -> int | None:
        if operator not in self.operators:
            return None  # what arrives after its sender's death nobody can account for
        lately = [most for at, most in self._allowed if at > self.now - 90.0]
        most = max(self._allowed[-1][1], *lately, 0)
        return 2 * most if self.now < self._known_since + 60.0 else most

    def surprised(self) -> None:
        self._known_since = max(self._known_since, self.now)

    # -- the run ----------------------------------------------------------------------------

    async def play(self, steps: int) -> Verdict:
        asyncio.get_running_loop().set_exception_handler(self._unheard)
        problem = ""
        try:
            self._create()
            await self._play(steps)
        except Broken as why:
            problem = str(why)
        finally:
            await self._close()
        trace = tuple(self.judge.trace)
        return Verdict(
            self.seed,
            self.judge.steps,
            self.now,
            problem,
            trace,
            dict(sorted(self.judge.counts.items())),
        )

    async def _play(self, steps: int) -> None:
        troubles = Troubles(self)
        work = (self._keep_operators(), self._call(), troubles.run())
        actors = [asyncio.create_task(each) for each in work]
        for actor in actors:
            actor.add_done_callback(self._actor_ended)
        try:
            await self._until(lambda: self.judge.steps >= steps * 0.8, float("inf"))
            actors[-1].cancel()
            troubles.heal()
            self.chaos.on = False
            await self._peace()
            await self._farewell()
        finally:
            for actor in actors:
                actor.cancel()
            await asyncio.gather(*actors, return_exceptions=True)

    async def _until(self, true: Callable[[], bool], within_s: float) -> bool:
        until = self.now + within_s
        while not true():
            self.judge.check()
            if self.now > until:
                return False
            await asyncio.sleep(0.25)
        self.judge.check()
        return True

    async def _peace(self) -> None:
        self.judge.step("peace")
        since: float | None = None
        until = self.now + PEACE_S
        unrest = ""
        while since is None or self.now < since + STEADY_S:
            self.judge.check()
            if not self.pools():
                self.create_pool()
            unrest = self.unrest()
            since = None if unrest else (since if since is not None else self.now)
            if self.now > until:
                self.judge.broken(f"no peace after {PEACE_S:g} s: {unrest}")
            await asyncio.sleep(0.5)
        self.judge.step("settled")

    async def _farewell(self) -> None:
        """The pool is deleted, and goes."""
        with suppress(Refused):
            self.api.delete("somebody", self.pool_path, {})
        self.judge.step("the pool is deleted")

        def gone() -> bool:
            return not self.pools() and not self.pods()

        if not await self._until(gone, PEACE_S):
            left = [pod["metadata"]["name"] for pod in self.pods()]
            self.judge.broken(f"the pool was not gone after {PEACE_S:g} s: {self.pools()} {left}")

    def unrest(self) -> str:
        """Why the pool is not as it was declared; "" when it is."""
        process = next(iter(self.operators.values()), None)
        if process is None or len(self.operators) != 1:
            return f"{len(self.operators)} operators"
        managed = next(iter(process.operator.pools.values()), None)
        if managed is None or managed.last is None or managed.reconciler is None:
            return "no pass was made"
        return self._unlike(managed.last, template_revision(managed.reconciler.manifest))

    def _unlike(self, last: Pass, revision: str) -> str:
        target = last.decision.target
        least = self.spec.get("replicas", self.spec["scaling"]["minRunners"])
        if target < least or ("replicas" in self.spec and target != least):
            return f"the target is {target}, declared are {least}"
        pods = self.pods()
        if len(pods) != target:
            names = [(p["metadata"]["name"], p["status"]["phase"]) for p in pods]
            return f"{names} for a target of {target}: {last.plan.reason}"
        for pod in pods:
            name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
            runner = self.runners.get(uid)
            if "deletionTimestamp" in pod["metadata"]:
                return f"{name} is on its way out"
            if runner is None or not runner.alive or not runner.link.registered:
                return f"{name} has no runner"
            if runner.link.draining:
                return f"{name} takes no calls, though it is at {_intent(pod)}"
            if _intent(pod).mode is not Mode.SERVE:
                return f"{name} drains"
            if pod["metadata"]["labels"][REVISION] != revision:
                return f"{name} is of an old revision"
        return ""

    # -- who lives in it --------------------------------------------------------------------

    def _create(self) -> None:
        self.api = ApiServer(self.wall)
        self.api.on_write.append(self.judge.wrote)
        self.orchestrator = Orchestrator(self.chaos, POOL, self.wall)
        self.kubelet = Kubelet(self)
        for name in NODES:
            body = {"metadata": {"name": name}, "spec": {}, "status": {"phase": ""}}
            self.api.handle("somebody", "POST", "/api/v1/nodes", {}, body, "application/json")
        keys = {name: base64.b64encode(b"key").decode() for name in ("apiKey", "runnerKey")}
        self._post("/api/v1/namespaces/sim/secrets", "v1", "Secret", "keys", data=keys)
        spec = {"url": "https://paddock.example", "secretRef": {"name": "keys"}}
        self._post(
            connections_path(NAMESPACE), "paddock.dev/v1alpha1", "OrchestratorConnection",
            "default", spec=spec,
        )  # fmt: skip
        self.spec = _spec(self.chaos.random)
        self.create_pool()

    def _post(self, path: str, version: str, kind: str, name: str, **parts: Any) -> None:
        metadata = {"name": name, "namespace": NAMESPACE}
        body = {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}
        self.api.handle("somebody", "POST", path, {}, body, "application/json")

    @property
    def pool_path(self) -> str:
        return f"{pools_path(NAMESPACE)}/{POOL}"

    def create_pool(self) -> None:
        self._note_size()
        path = pools_path(NAMESPACE)
        self._post(path, "paddock.dev/v1alpha1", "AgentDeployment", POOL, spec=self.spec)

    def change_pool(self, **changes: Any) -> None:
        """`changes` are of the spec, section by section; None takes one away."""
        for name, change in changes.items():
            old = self.spec.get(name)
            if change is None:
                self.spec.pop(name, None)
            elif isinstance(old, dict) and isinstance(change, dict):
                self.spec[name] = {**old, **change}
            else:
                self.spec[name] = change
        self._note_size()
        with suppress(Refused):
            spec = {**dict.fromkeys(changes), **self.spec}
            self.api.patch("somebody", self.pool_path, {"spec": spec})

    def _note_size(self) -> None:
        most = self.spec["scaling"]["maxRunners"] + self.spec["rollout"]["maxSurge"]
        self._allowed.append((self.now, most))

    def start_operator(self) -> None:
        self.begun += 1
        name = f"operator-{self.begun}"
        self.judge.step(f"{name} begins")
        process = OperatorProcess(name, self, lambda: self._operator_ended(name))
        process.skew_s = self.chaos.random.uniform(-1.0, 1.0)
        self.operators[name] = process
        if len(self.operators) > 1:
            self._known_since = float("inf")

    def _operator_ended(self, name: str) -> None:
        del self.operators[name]
        if len(self.operators) <= 1 and self._known_since == float("inf"):
            self._known_since = self.now

    async def _keep_operators(self) -> None:
        """What a Deployment does, and sometimes two at once."""
        while True:
            while len(self.operators) < self.wanted_operators:
                self.start_operator()
            while len(self.operators) > self.wanted_operators:
                next(iter(self.operators.values())).crash()
            await asyncio.sleep(self.chaos.sometime(1.0, 20.0))

    async def _call(self) -> None:
        """Callers come in waves."""
        random = self.chaos.random
        while self.chaos.on:
            rate = random.choice((0.05, 0.3, 1.0))
            until = self.now + random.uniform(10.0, 90.0)
            while self.now < until and self.chaos.on:
                await asyncio.sleep(random.expovariate(rate))
                self.orchestrator.call()

    def _actor_ended(self, actor: "asyncio.Task[None]") -> None:
        why = None if actor.cancelled() else actor.exception()
        if why is not None and not isinstance(why, Broken):
            self.judge.broken(f"the simulation itself failed: {why!r}")

    def _unheard(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        why = context.get("exception")
        if not isinstance(why, Broken):
            with suppress(Broken):
                self.judge.broken(f"{context.get('message')}: {why!r}")

    async def _close(self) -> None:
        for process in list(self.operators.values()):
            process.crash()
        for runner in self.runners.values():
            runner.alive = False
        await self.kubelet.close()


def _intent(pod: Json) -> Any:
    return intent_of(pod["metadata"].get("annotations") or {})


def _spec(random: Random) -> Json:
    """A pool that is quick to change its mind."""
    spec: Json = {
        "sessionsPerRunner": random.choice((1, 2, 4)),
        "sessions": {"queueTimeoutSeconds": 25},
        "scaling": {
            "policy": random.choice(("Buffer", "Horizon")),
            "minRunners": random.choice((0, 1, 2)), "maxRunners": random.choice((3, 6)),
            "startupSecondsHint": 5, "meanSessionSecondsHint": 20,
            "scaleUp": {"maxStarting": 4},
            "scaleDown": {"stabilizationSeconds": 5, "maxDraining": 3},
        },
        "drain": {
            "timeoutSeconds": random.choice((20, 90)), "warnBeforeSeconds": 5,
            "onTimeout": random.choice(("Terminate", "Terminate", "Keep")),
        },
        "rollout": {"minReadySeconds": 2, "maxSurge": 1, "progressDeadlineSeconds": 60},
        "failure": {
            "backoffSeconds": 2, "maxBackoffSeconds": 20, "maxStartFailures": 3,
            "startDeadlineSeconds": 45,
        },
        "template": template("1", random.choice(("Never", "Never", "Always"))),
    }  # fmt: skip
    return spec


def template(mark: str, restart: str = "Never") -> Json:
    one = {"name": "agent", "image": "none", "env": [{"name": "MARK", "value": mark}]}
    return {"spec": {"restartPolicy": restart, "containers": [one]}}
