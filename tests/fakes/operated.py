"""A namespace with everything a pool needs: orchestrator, operator, a node of processes."""

import asyncio
import base64
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx

from fakes.process_kubelet import SCHEDULER, ProcessKubelet
from fakes.processes import Process, Server
from fakes.quotas import in_force
from fakes.waiting import eventually
from paddock.client.client import AsyncClient
from paddock.client.text import AgentSay, AgentTextDelta, AgentTextEnd, Ending, TextChannel
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.errors import NotFound
from paddock_operator.backends.kubernetes.words import connections_path, pods_path, pools_path
from testbed.control_plane import ControlPlane

AGENT = Path(__file__).with_name("agent_program.py")
POOL = "desk"
Json = dict[str, Any]


def costs(pod: Json) -> bool:
    """It costs money and is not told to go."""
    alive = pod["status"].get("phase") in ("Pending", "Running")
    return alive and "deletionTimestamp" not in pod["metadata"]


class OperatorProcess(Process):
    """`paddock operator` for one namespace."""

    def __init__(
        self, directory: Path, kubeconfig: Path, namespace: str, name: str, *options: str
    ) -> None:
        super().__init__(directory, name)
        self._options = ["--kubeconfig", str(kubeconfig), "--namespace", namespace, *options]

    def start(self) -> None:
        command = [sys.executable, "-m", "paddock", "operator", "--probe-port", "0"]
        command += ["--log-format", "json", "--log-level", "debug"]
        self.spawn([*command, *self._options], {})

    @property
    def probes(self) -> str:
        """Where its pages are, once it stands by."""
        return f"http://127.0.0.1:{self.said('standing_by')[-1]['probes']}"

    def said(self, event: str) -> list[Json]:
        """The log's lines of this event."""
        lines = [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == event]

    async def counted(self, series: str) -> float:
        """What its page of metrics says of this, all labels together."""
        async with httpx.AsyncClient(trust_env=False, verify=False) as http:
            text = (await http.get(f"{self.probes}/metrics")).text
        found = [line for line in text.splitlines() if re.match(rf"{series}[ {{]", line)]
        assert found, text
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)


class Call:
    """One caller who talks and listens."""

    def __init__(self, session_id: str, channel: TextChannel, *, answers: str = "heard {}") -> None:
        """`answers`: what the agent says to what it hears."""
        self.session_id = session_id
        self.channel = channel
        self._answers = answers
        self._said: list[str] = []
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        words = ""
        async for event in self.channel:
            if isinstance(event, AgentSay):
                self._said.append(event.text)
            elif isinstance(event, AgentTextDelta):
                words += event.text
            elif isinstance(event, AgentTextEnd):
                self._said.append(words.strip())
                words = ""

    async def ask(self, text: str, *, within_s: float = 45) -> None:
        """Say it and hear the answer: the call lives."""
        await self.channel.say(text)
        answer = self._answers.format(text)
        await eventually(lambda: answer in self._said, within_s=within_s, what=f"answer to {text}")

    async def ended(self, *, within_s: float = 45) -> Ending:
        """How it ended, once it has."""
        found = await eventually(
            lambda: self.channel.ended, within_s=within_s, what="end of the call"
        )
        assert isinstance(found, Ending)
        return found

    async def hang_up(self) -> None:
        """End it as a caller does; it must not have been ended by anybody else."""
        assert self.channel.is_live(), f"the call was ended: {self.channel.ended}"
        await self.channel.hangup()
        assert (await self.ended()).reason == "completed"

    async def close(self) -> None:
        self._listening.cancel()
        await asyncio.wait([self._listening])


class Operated:
    """A pool's whole world, in one namespace; its node is no node of the cluster's scheduler."""

    scheduler = SCHEDULER

    def __init__(self, client: KubeClient, namespace: str, folder: Path, kubeconfig: Path) -> None:
        self.client = client
        self.namespace = namespace
        self.folder = folder
        self.kubeconfig = kubeconfig
        self.node = f"node-{namespace[-6:]}"
        self.server = Server(folder)
        self.operator = OperatorProcess(folder, kubeconfig, namespace, "operator")
        self.kubelet = ProcessKubelet(client, namespace, folder, node=self.node)
        self._stack = contextlib.AsyncExitStack()
        self.path = f"{pools_path(namespace)}/{POOL}"
        self.pods_path = pods_path(namespace)

    # -- the world --------------------------------------------------------------------------

    async def begin(self) -> None:
        """Everything but the pool."""
        await self.server.start()
        await self.secret(self.server.keys["private"])
        await self.connection(self.server.url)
        self.operator.start()

    async def close(self) -> None:
        await self._stack.aclose()
        self.operator.kill()
        self.server.kill()
        with contextlib.suppress(Exception):
            body = {"metadata": {"finalizers": None}}
            await self.client.merge_patch(self.path, body)

    @property
    def secret_path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/secrets/keys"

    async def restart_operator_if_it_gave_up(self) -> None:
        """As its Deployment would: it ends where its lease can be renewed no more.

        At work is only who has renewed since: one that could not for long may be about to end.
        """
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/paddock-operator"
        before = (await self.client.get(path))["spec"]["renewTime"]

        async def at_work() -> bool:
            if self.operator.exit_code is not None:
                self.operator.start()
            async with httpx.AsyncClient(trust_env=False, verify=False) as http:
                try:
                    answer = await http.get(f"{self.operator.probes}/readyz")
                except (httpx.HTTPError, IndexError):
                    return False
            renewed: str = (await self.client.get(path))["spec"]["renewTime"]
            return answer.status_code == 200 and renewed != before

        await eventually(at_work, within_s=60, what="an operator that is ready")

    async def secret(self, api_key: str) -> None:
        keys = {"apiKey": api_key, "runnerKey": self.server.keys["runner"]}
        data = {name: base64.b64encode(key.encode()).decode() for name, key in keys.items()}
        path = f"/api/v1/namespaces/{self.namespace}/secrets"
        await self.put("v1", "Secret", path, "keys", data=data)

    async def begin_anew_with(self, api_key: str | None) -> None:
        """An operator that has never seen another key than this; None: no secret at all.

        One that knows a key that works looks for another after half a minute only.
        """
        self.operator.kill()
        if api_key is None:
            await self.client.delete(self.secret_path)
        else:
            await self.secret(api_key)
        self.operator.start()

    async def connection(self, url: str) -> None:
        spec = {"url": url, "secretRef": {"name": "keys"}, "allowInsecure": True}
        path = connections_path(self.namespace)
        await self.put("paddock.dev/v1alpha1", "OrchestratorConnection", path, "default", spec=spec)

    async def put(self, version: str, kind: str, path: str, name: str, **parts: Any) -> Json:
        metadata = {"name": name, "namespace": self.namespace}
        body = {"apiVersion": version, "kind": kind, "metadata": metadata}
        return await self.client.apply(f"{path}/{name}", body | parts, manager="somebody")

    async def apply(self, **changes: Any) -> None:
        """Apply the pool; `changes` are of its spec, section by section."""
        sections: Json = {
            "sessionsPerRunner": 2,
            "sessions": {"queueTimeoutSeconds": 60, "placement": "Spread"},
            "scaling": {
                "policy": "Buffer", "minRunners": 1, "maxRunners": 4, "warmSessions": 0,
                "scaleDown": {"stabilizationSeconds": 2, "maxDraining": 4},
                "scaleUp": {"maxStarting": 4},
            },
            "drain": {"timeoutSeconds": 90, "warnBeforeSeconds": 5},
            "rollout": {"minReadySeconds": 1, "maxSurge": 1},
            "failure": {"backoffSeconds": 2, "maxBackoffSeconds": 30, "maxStartFailures": 2},
            "template": self.template("1"),
        }  # fmt: skip
        for name, change in changes.items():
            old = sections.get(name)
            if isinstance(old, dict) and isinstance(change, dict) and name != "template":
                sections[name] = {**old, **change}
            else:
                sections[name] = change
        await self.put(
            "paddock.dev/v1alpha1", "AgentDeployment", pools_path(self.namespace), POOL,
            spec=sections,
        )  # fmt: skip

    def template(self, mark: str, command: list[str] | None = None, **container: Any) -> Json:
        one = {
            "name": "agent", "image": "none", "command": command or ["python", str(AGENT)],
            "env": [{"name": "MARK", "value": mark}], **container,
        }  # fmt: skip
        return {"spec": {"schedulerName": self.scheduler, "containers": [one]}}

    async def patch(self, spec: Json) -> None:
        await self.client.merge_patch(self.path, {"spec": spec})

    async def delete(self) -> None:
        await self.client.delete(self.path)

    async def quota_in_force(self) -> None:
        """The API server refuses pods by the quota that there is now."""
        spec = {"containers": [{"name": "x", "image": "none"}]}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": spec}
        await in_force(self.client, self.pods_path, body)

    # -- what is there ----------------------------------------------------------------------

    async def pool(self) -> Json:
        return await self.client.get(self.path)

    async def status(self) -> Json:
        found: Json = (await self.pool()).get("status", {})
        return found

    async def pods(self) -> dict[str, Json]:
        """By name."""
        pods = (await self.client.list(self.pods_path)).items
        return {pod["metadata"]["name"]: pod for pod in pods}

    async def live(self) -> int:
        """How many pods there are that are neither over nor told to go."""
        return sum(map(costs, (await self.pods()).values()))

    async def settled(self, count: int, *, within_s: float = 45) -> dict[str, Json]:
        """The pods, once so many serve and there is no other, as the status of this spec says."""

        async def look() -> Json | None:
            pods, pool = await self.pods(), await self.pool()
            status = pool.get("status", {})
            seen = status.get("observedGeneration") == pool["metadata"]["generation"]
            same = len(pods) == count == status.get("ready") == status.get("replicas")
            return {"pods": pods} if seen and same and not status["draining"] else None

        found = await eventually(look, within_s=within_s, what=f"{count} settled runners")
        pods: dict[str, Json] = found["pods"]
        return pods

    async def declared(self) -> None:
        """The orchestrator knows the pool: a start waits for its runners."""

        async def look() -> bool:
            return any(one["agent"] == POOL for one in await self.server.get("/v1/agents"))

        await eventually(look, what="a pool that is declared")

    async def condition(self, kind: str, status: str, *reasons: str, within_s: float = 45) -> Json:
        """The condition, once it says so."""

        async def look() -> Json | None:
            for one in (await self.status()).get("conditions", ()):
                if one["type"] == kind and one["status"] == status:
                    return one if not reasons or one["reason"] in reasons else None
            return None

        what = f"{kind}={status} {reasons}"
        try:
            found = await eventually(look, within_s=within_s, what=what)
        except AssertionError as why:
            raise AssertionError(f"{why}; the status is {await self.status()}") from None
        assert isinstance(found, dict)
        return found

    async def connection_condition(self, status: str, reason: str) -> Json:
        """What is said of the connection, once it says so."""
        path = f"{connections_path(self.namespace)}/default"

        async def look() -> Json | None:
            found = (await self.client.get(path)).get("status", {}).get("conditions", ())
            same = [c for c in found if (c["status"], c["reason"]) == (status, reason)]
            return same[0] if same else None

        found = await eventually(look, within_s=60, what=f"connection {status} {reason}")
        assert isinstance(found, dict)
        return found

    async def draining(self, reason: str, *, within_s: float = 45) -> Json:
        """The first pod that was told to drain for this reason."""

        async def look() -> Json | None:
            for pod in (await self.pods()).values():
                notes = pod["metadata"].get("annotations", {})
                if (
                    notes.get("paddock.dev/mode") == "drain"
                    and notes["paddock.dev/reason"] == reason
                ):
                    return pod
            return None

        found = await eventually(look, within_s=within_s, what=f"a drain for {reason}")
        assert isinstance(found, dict)
        return found

    async def gone(self, name: str, *, within_s: float = 45) -> None:
        """The pod of this name is no more."""

        async def look() -> bool:
            return name not in await self.pods()

        await eventually(look, within_s=within_s, what=f"the end of {name}")

    def kill_runner(self, pod: Json) -> None:
        os.kill(self.kubelet.pid_of(pod["metadata"]["uid"]), signal.SIGKILL)

    # -- calls ------------------------------------------------------------------------------

    def caller(self) -> AsyncClient:
        return AsyncClient(self.server.keys["private"], self.server.url, timeout_s=70)

    async def call(self, *, timeout_s: float = 70) -> Call:
        """A call that has begun, and was answered."""
        client = await self._stack.enter_async_context(
            AsyncClient(self.server.keys["private"], self.server.url, timeout_s=timeout_s)
        )
        started = await client.start(POOL, {})
        channel = await self._stack.enter_async_context(
            TextChannel.connect(started.text_url, started.token)
        )
        call = Call(started.session_id, channel)
        self._stack.push_async_callback(call.close)
        await call.ask("one")
        return call

    async def runner_of(self, call: Call) -> str:
        return str((await self.server.session(call.session_id))["runner"])

    async def calls_on_two_runners(self) -> tuple[Call, Call]:
        first, second = await self.call(), await self.call()
        assert await self.runner_of(first) != await self.runner_of(second)
        return first, second


@contextlib.asynccontextmanager
async def operated(
    kubeconfig: Path, namespace: str, folder: Path, *, begin: bool = True
) -> AsyncIterator[Operated]:
    """Everything, and nothing of it afterwards."""
    async with KubeClient.connect(kubeconfig) as client:
        world = Operated(client, namespace, folder, kubeconfig)
        playing = asyncio.create_task(world.kubelet.run())
        try:
            if begin:
                await world.begin()
            yield world
        finally:
            await world.close()
            playing.cancel()
            await asyncio.wait([playing])
            with contextlib.suppress(NotFound):
                await client.delete(f"/api/v1/nodes/{world.node}")


async def api_server_back(plane: ControlPlane) -> None:
    """Start it, once it was stopped, and wait until it answers; all else goes on meanwhile.

    Also for pools: it serves custom resources a moment later than the rest.
    """
    plane.apiserver.start()  # not in a thread: the process would die with it

    def answers() -> bool:
        try:
            return plane.client.is_ready() and plane.client.ask("GET", pools_path("default")).ok
        except OSError:
            return False

    await eventually(lambda: asyncio.to_thread(answers), within_s=60, what="the API server")


async def quiet(world: Operated, seconds: float, versions: Callable[[], Any]) -> None:
    """Nothing that `versions` tells changes for so long."""
    before = await versions()
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds

    async def over() -> bool:
        assert await versions() == before
        return loop.time() > until

    await eventually(over, within_s=seconds + 60, what="quiet")
