"""A kubelet and scheduler for many pods at once, whose runners are played.

`StubKubelet` binds the pods that name its scheduler, has a `Player` play each, reports Running and
Ready, and honours a deletion with its grace. Who plays is up to the `Player`: `SdkPlayer` runs the
SDK's own `AgentRunner`, many in one process, with real sockets and the real drain barrier.

`python -m fakes.stub_kubelet --kubeconfig FILE --namespace NAME --node NAME` is one with an
`SdkPlayer`; it prints a line of JSON for whatever happens to a runner.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import logging
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

from fakes.agent_program import entrypoint
from paddock import AgentRunner
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.errors import AlreadyExists, Conflict, KubeError, NotFound
from paddock_operator.backends.kubernetes.informer import Informer
from paddock_operator.backends.kubernetes.mirror import Key
from paddock_operator.reconcile.queue import KeyedQueue

SCHEDULER = "stub-kubelet"
"""What a pod names to run here, and on none of the nodes that the cluster may also have."""
WORKERS = 16
Json = dict[str, Any]
Say = Callable[[Json], None]


class Played(Protocol):
    """A pod's container while it runs."""

    @property
    def exit_code(self) -> int | None:
        """None while it runs; `again` is called when that changes."""
        ...

    def terminate(self) -> None:
        """SIGTERM."""
        ...

    def kill(self) -> None:
        """SIGKILL."""
        ...


class Player(Protocol):
    async def start(self, pod: Json, again: Callable[[], None]) -> Played:
        """Begin to play the pod; call `again` when it has exited."""
        ...


@dataclass(eq=False)
class _Running:
    played: Played
    told_at: float | None = None
    reported: bool = False


class StubKubelet:
    """Plays the pods of one path until `run` is cancelled."""

    def __init__(self, client: KubeClient, path: str, *, node: str, player: Player) -> None:
        self._client = client
        self._node = node
        self._player = player
        self._queue: KeyedQueue[Key] = KeyedQueue()
        self._pods: Informer[Json] = Informer(
            client, path, "", self._kept, on_change=lambda key, old, new: self._queue.add(key)
        )
        self._running: dict[str, _Running] = {}
        """By uid."""
        self._uids: dict[Key, str] = {}

    def _kept(self, pod: Json) -> Json | None:
        return pod if pod["spec"].get("schedulerName") == SCHEDULER else None

    async def run(self) -> None:
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self._node}}
        with contextlib.suppress(AlreadyExists):
            await self._client.create("/api/v1/nodes", body)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pods.run())
                for _ in range(WORKERS):
                    group.create_task(self._work())
        finally:
            for one in self._running.values():
                one.played.kill()

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                await self._look_at(key)
            except NotFound:
                self._queue.done(key)
            except (Conflict, KubeError):
                self._queue.failed(key)
            else:
                self._queue.done(key)

    async def _look_at(self, key: Key) -> None:
        pod = self._pods.store.get(key)
        uid = "" if pod is None else pod["metadata"]["uid"]
        before = self._uids.get(key)
        if before is not None and before != uid:  # deleted by force
            del self._uids[key]
            self._running.pop(before).played.kill()
        if pod is None:
            return
        path = f"/api/v1/namespaces/{key.namespace}/pods/{key.name}"
        deleting = "deletionTimestamp" in pod["metadata"]
        if not pod["spec"].get("nodeName"):
            if not deleting:
                await self._bind(path, key.name)
            return
        one = self._running.get(uid)
        if one is None and not deleting and pod["status"]["phase"] == "Pending":
            again = lambda: self._queue.add(key)  # noqa: E731
            self._uids[key] = uid
            self._running[uid] = _Running(await self._player.start(pod, again))
            await self._report(path, pod, "Running", None)
            return
        if one is not None and one.played.exit_code is None:
            if deleting:
                self._terminate(key, pod, one)
            return
        if one is not None and not one.reported:
            code = one.played.exit_code
            await self._report(path, pod, "Failed" if code else "Succeeded", code)
            one.reported = True
        if deleting:
            await self._client.delete(path, uid=uid, grace_s=0)

    def _terminate(self, key: Key, pod: Json, one: _Running) -> None:
        if one.told_at is None:
            one.told_at = time.monotonic()
            one.played.terminate()
        left = one.told_at + pod["metadata"]["deletionGracePeriodSeconds"] - time.monotonic()
        if left <= 0:
            one.played.kill()
        self._queue.add_after(key, max(0.2, left))

    async def _bind(self, path: str, name: str) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": self._node}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
        await self._client.create(f"{path}/binding", body)

    async def _report(self, path: str, pod: Json, phase: str, code: int | None) -> None:
        name = pod["spec"]["containers"][0]["name"]
        state: Json = {"running": {}}
        if code is not None:
            state = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
        ready = phase == "Running"
        status = {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [
                {
                    "name": name, "ready": ready, "restartCount": 0, "image": "none",
                    "imageID": "", "state": state,
                }
            ],
        }  # fmt: skip
        await self._client.merge_patch(path, {"status": status}, subresource="status")


class _SdkRunner:
    """One `AgentRunner` in a task."""

    def __init__(self, runner: AgentRunner, name: str, say: Say, over: Callable[[], None]) -> None:
        self._runner = runner
        self._name = name
        self._say = say
        self._over = over
        self._leaving: asyncio.Task[None] | None = None
        self.exit_code: int | None = None
        self._task = asyncio.create_task(runner.run())
        self._task.add_done_callback(self._ended)

    def terminate(self) -> None:
        held = self._runner.stats().in_flight
        self._say({"event": "sigterm", "runner": self._name, "held": held})
        self._leaving = asyncio.create_task(self._runner.shutdown())

    def kill(self) -> None:
        self._task.cancel()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        failed = task.cancelled() or task.exception() is not None
        self.exit_code = int(failed)
        why = "killed" if task.cancelled() else repr(task.exception())
        held = self._runner.stats().in_flight
        said = {"event": "exited", "runner": self._name, "code": self.exit_code, "held": held}
        self._say({**said, "why": why} if failed else said)
        self._over()


class SdkPlayer:
    """Plays pods as the SDK's own runners, on this process's loop."""

    def __init__(self, client: KubeClient, *, start_s: tuple[float, float], say: Say) -> None:
        """`start_s`: how long a runner takes to start, between these."""
        self._client = client
        self._start_s = start_s
        self._say = say
        self._secrets: dict[str, Json] = {}

    async def start(self, pod: Json, again: Callable[[], None]) -> Played:
        began = time.monotonic()
        env = {}
        for variable in pod["spec"]["containers"][0].get("env", ()):
            env[variable["name"]] = await self._value(variable, pod)
        env.pop("PADDOCK_STATE_DIR", None)
        await asyncio.sleep(random.uniform(*self._start_s))
        with mock.patch.dict(os.environ, env, clear=True):
            runner = AgentRunner(entrypoint)
        runner._startup_ms = int((time.monotonic() - began) * 1000)  # not this process's age
        return _SdkRunner(runner, pod["metadata"]["name"], self._say, again)

    async def _value(self, variable: Json, pod: Json) -> str:
        source = variable.get("valueFrom")
        if source is None:
            return str(variable.get("value", ""))
        if "fieldRef" in source:
            return str(pod["metadata"][source["fieldRef"]["fieldPath"].removeprefix("metadata.")])
        reference, namespace = source["secretKeyRef"], pod["metadata"]["namespace"]
        path = f"/api/v1/namespaces/{namespace}/secrets/{reference['name']}"
        if path not in self._secrets:
            self._secrets[path] = await self._client.get(path)
        return base64.b64decode(self._secrets[path]["data"][reference["key"]]).decode()


def _print(line: Json) -> None:
    print(json.dumps(line), flush=True)


async def _main(options: argparse.Namespace) -> None:
    async with KubeClient.connect(options.kubeconfig) as client:
        player = SdkPlayer(client, start_s=(options.start_s, 3 * options.start_s), say=_print)
        path = f"/api/v1/namespaces/{options.namespace}/pods"
        await StubKubelet(client, path, node=options.node, player=player).run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--node", required=True)
    parser.add_argument("--start-s", type=float, default=0.3)
    asyncio.run(_main(parser.parse_args()))
