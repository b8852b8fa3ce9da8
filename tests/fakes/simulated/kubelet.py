"""Scheduler, kubelet and garbage collector: pods are placed, run, fail and end in their time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from fakes.simulated.api_server import ApiServer, Json, Refused, Written
from fakes.simulated.chaos import Chaos
from fakes.simulated.runner import Dial, Place, RunnerProcess, Watcher
from paddock.protocol.runner_link import RunnerLink

NODES = ("node-a", "node-b", "node-c")
STATUS_LAG_S = 0.9
"""Kubelet tells of a container that began within so much, before a runner takes its first call."""
START_S = 3.0


class Around(Protocol):
    api: ApiServer
    chaos: Chaos

    @property
    def judge(self) -> Watcher: ...
    @property
    def orchestrator(self) -> Dial: ...

    runners: dict[str, RunnerProcess]
    runner_link: Callable[..., RunnerLink]


class Kubelet:
    def __init__(self, around: Around) -> None:
        self._around = around
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending: set[str] = set()
        self._volumes: dict[str, dict[str, Any]] = {}
        around.api.on_write.append(self._seen)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (why := task.exception()) is not None:
            raise why

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _seen(self, write: Written) -> None:
        before, after = write.before, write.after
        if write.path.split("/")[-2] == "agentdeployments" and after is None:
            self._start(self._collect())
        if write.path.split("/")[-2] != "pods":
            return
        if before is None and after is not None:
            self._start(self._live(write.path, after))
        elif before is not None:
            uid = before["metadata"]["uid"]
            if after is None:
                self._start(self._removed(uid))
            elif "deletionTimestamp" in after["metadata"] and uid not in self._ending:
                self._ending.add(uid)
                self._start(self._end(write.path, after))

    async def _collect(self) -> None:
        """What has lost its owner goes, also what is created a little later."""
        api = self._around.api
        for _ in range(40):
            await asyncio.sleep(self._around.chaos.soon(2.0))
            owners = {o["metadata"]["uid"] for path, o in api.objects.items() if "/agentd" in path}
            for path, pod in list(api.objects.items()):
                if path.split("/")[-2] == "pods":
                    owner = pod["metadata"]["ownerReferences"][0]["uid"]
                    if owner not in owners and "deletionTimestamp" not in pod["metadata"]:
                        api.delete("the collector", path, {})

    # -- one pod ----------------------------------------------------------------------------

    async def _live(self, path: str, pod: Json) -> None:
        uid, chaos = pod["metadata"]["uid"], self._around.chaos
        await asyncio.sleep(chaos.sometime(0.5, 20.0))
        while not (free := self._free_nodes()):  # noqa: ASYNC110 - time is virtual
            await asyncio.sleep(1.0)
        node = chaos.random.choice(free)
        if not self._patch(path, uid, {"spec": {"nodeName": node}}):
            return
        await asyncio.sleep(chaos.sometime(0.3, 10.0))
        number, volume = 0, self._volumes.setdefault(uid, {})
        while self._there(path, uid) is not None and uid not in self._ending:
            await asyncio.sleep(chaos.soon(STATUS_LAG_S))
            self._patch(path, uid, _status("Running", "running"))
            await asyncio.sleep(STATUS_LAG_S + chaos.sometime(START_S, 90.0, 0.03))
            if self._there(path, uid) is None or uid in self._ending:
                return
            crashed = await self._run(path, pod, number, volume)
            if uid in self._ending:
                return
            if pod["spec"]["restartPolicy"] != "Always":
                await asyncio.sleep(chaos.sometime(0.3, 10.0))
                phase = "Failed" if crashed else "Succeeded"
                self._patch(path, uid, {"status": {"phase": phase}})
                return
            number += 1
            self._patch(path, uid, _status("Running", "waiting", "CrashLoopBackOff"))
            await asyncio.sleep(chaos.sometime(5.0, 30.0))

    async def _run(self, path: str, pod: Json, number: int, volume: dict[str, Any]) -> bool:
        """Until the process is over; whether that was a crash."""
        around = self._around
        env = {each["name"]: each.get("value", "") for each in pod["spec"]["containers"][0]["env"]}
        if env.get("MARK") == "bad":
            return True
        place = Place(
            pod=pod["metadata"]["name"],
            uid=pod["metadata"]["uid"],
            agent=env["PADDOCK_AGENT_ID"],
            capacity=int(env["PADDOCK_MAX_SESSIONS"]),
            drain_timeout_s=float(env["PADDOCK_DRAIN_TIMEOUT_S"]),
        )
        runner = RunnerProcess(
            place, number, chaos=around.chaos, watcher=around.judge, dial=around.orchestrator,
            stored=volume, link=around.runner_link,
        )  # fmt: skip
        around.runners[place.uid] = runner
        while runner.alive:
            await asyncio.sleep(0.5)
            if around.chaos.happens(0.005):
                flap = {
                    "conditions": [{"type": "Ready", "status": str(around.chaos.random.random())}]
                }
                self._patch(path, place.uid, {"status": flap})
        return not runner.link.leaving

    async def _end(self, path: str, pod: Json) -> None:
        """SIGTERM, and SIGKILL after the grace."""
        uid, chaos = pod["metadata"]["uid"], self._around.chaos
        grace_s = pod["metadata"]["deletionGracePeriodSeconds"]
        await asyncio.sleep(chaos.sometime(0.1, 3.0))
        runner = self._around.runners.get(uid)
        if runner is not None:
            runner.sigterm()
            loop = asyncio.get_running_loop()
            until = loop.time() + grace_s
            while runner.alive and loop.time() < until:  # noqa: ASYNC110
                await asyncio.sleep(0.3)
            runner.kill("its grace was over")
        await asyncio.sleep(chaos.sometime(0.2, 10.0))
        if self._there(path, uid) is not None:
            self._around.api.remove("kubelet", path)

    async def _removed(self, uid: str) -> None:
        """The object is gone; what still runs of it ends soon."""
        self._ending.add(uid)
        await asyncio.sleep(self._around.chaos.sometime(0.1, 20.0))
        runner = self._around.runners.get(uid)
        if runner is not None:
            runner.kill("its pod was removed")

    def _there(self, path: str, uid: str) -> Json | None:
        pod = self._around.api.objects.get(path)
        return pod if pod is not None and pod["metadata"]["uid"] == uid else None

    def _patch(self, path: str, uid: str, body: Json) -> bool:
        if self._there(path, uid) is None:
            return False
        try:
            self._around.api.patch("kubelet", path, body)
        except Refused:
            return False
        return True

    def _free_nodes(self) -> list[str]:
        objects = self._around.api.objects
        nodes = (objects[f"/api/v1/nodes/{name}"] for name in NODES)
        return [n["metadata"]["name"] for n in nodes if not n["spec"].get("unschedulable")]


def _status(phase: str, state: str, reason: str = "") -> Json:
    one = {"name": "agent", "state": {state: {"reason": reason} if reason else {}}}
    return {"status": {"phase": phase, "containerStatuses": [one]}}
