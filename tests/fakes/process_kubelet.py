"""A kubelet that runs pods as processes of this machine: real runners, real sockets and signals.

It plays one node: binds the pods that name its scheduler, starts the first container's command with
the variables that the pod says, reports Running and Ready, and honours a deletion with its grace.
"""

import asyncio
import base64
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.errors import AlreadyExists, Conflict, KubeError, NotFound

POLL_S = 0.05
SCHEDULER = "process-kubelet"
"""What a pod names to run here, and on none of the nodes that the cluster may also have."""


class _Running:
    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.told_at: float | None = None


class ProcessKubelet:
    """Runs the pods of a namespace until `run` is cancelled, which kills them."""

    def __init__(self, client: KubeClient, namespace: str, folder: Path, *, node: str) -> None:
        self._client = client
        self._namespace = namespace
        self._folder = folder
        self._node = node
        self._running: dict[str, _Running] = {}
        """By uid."""

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self._namespace}/pods"

    def pid_of(self, uid: str) -> int:
        """The process of a pod that runs."""
        return self._running[uid].process.pid

    async def run(self) -> None:
        await self._join()
        try:
            while True:
                with contextlib.suppress(KubeError):
                    await self._look()
                await asyncio.sleep(POLL_S)
        finally:
            for one in self._running.values():
                one.process.kill()
                one.process.wait()

    async def _join(self) -> None:
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self._node}}
        with contextlib.suppress(AlreadyExists):
            await self._client.create("/api/v1/nodes", body)

    async def _look(self) -> None:
        pods = (await self._client.list(self.path)).items
        for uid in set(self._running) - {pod["metadata"]["uid"] for pod in pods}:
            gone = self._running.pop(uid)  # deleted by force: the process has no pod any more
            gone.process.kill()
            gone.process.wait()
        for pod in pods:
            with contextlib.suppress(NotFound, Conflict):
                await self._look_at(pod)

    async def _look_at(self, pod: dict[str, Any]) -> None:
        metadata, status = pod["metadata"], pod.get("status", {})
        one = self._running.get(metadata["uid"])
        if not pod["spec"].get("nodeName"):
            mine = pod["spec"]["schedulerName"] == SCHEDULER
            if mine and "deletionTimestamp" not in metadata:
                await self._bind(metadata["name"])
            return
        if pod["spec"]["nodeName"] != self._node:
            return
        if status.get("phase") in ("Succeeded", "Failed"):
            if "deletionTimestamp" in metadata:
                await self._client.delete(f"{self.path}/{metadata['name']}", grace_s=0)
            return
        if one is None:
            if "deletionTimestamp" in metadata:
                await self._client.delete(f"{self.path}/{metadata['name']}", grace_s=0)
            else:
                await self._start(pod)
            return
        await self._follow(pod, one)

    async def _follow(self, pod: dict[str, Any], one: _Running) -> None:
        metadata = pod["metadata"]
        if "deletionTimestamp" in metadata:
            if one.told_at is None:
                one.told_at = time.monotonic()
                one.process.send_signal(signal.SIGTERM)
            elif time.monotonic() - one.told_at > metadata["deletionGracePeriodSeconds"]:
                one.process.kill()
        code = one.process.poll()
        if code is not None:
            await self._report(pod, "Succeeded" if code == 0 else "Failed", code)

    async def _bind(self, name: str) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": self._node}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
        await self._client.create(f"{self.path}/{name}/binding", body)

    async def _start(self, pod: dict[str, Any]) -> None:
        container = pod["spec"]["containers"][0]
        env = {"PATH": os.environ["PATH"], "HOME": str(self._folder)}
        for variable in container.get("env", ()):
            env[variable["name"]] = await self._value(variable, pod)
        state = self._folder / pod["metadata"]["uid"]
        state.mkdir()
        env["PADDOCK_STATE_DIR"] = str(state)
        command = [*container["command"], *container.get("args", ())]
        command[0] = sys.executable if command[0] == "python" else command[0]
        log = self._folder / f"{pod['metadata']['name']}.log"
        self._running[pod["metadata"]["uid"]] = _Running(_spawned(command, env, log))
        await self._report(pod, "Running", None)

    async def _value(self, variable: dict[str, Any], pod: dict[str, Any]) -> str:
        source = variable.get("valueFrom")
        if source is None:
            return str(variable.get("value", ""))
        if "fieldRef" in source:
            return str(pod["metadata"][source["fieldRef"]["fieldPath"].removeprefix("metadata.")])
        reference = source["secretKeyRef"]
        path = f"/api/v1/namespaces/{self._namespace}/secrets/{reference['name']}"
        secret = await self._client.get(path)
        return base64.b64decode(secret["data"][reference["key"]]).decode()

    async def _report(self, pod: dict[str, Any], phase: str, code: int | None) -> None:
        name = pod["spec"]["containers"][0]["name"]
        state: dict[str, Any] = {"running": {}}
        if code is not None:
            state = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
        ready = "True" if phase == "Running" else "False"
        body = {
            "status": {
                "phase": phase,
                "conditions": [{"type": "Ready", "status": ready}],
                "containerStatuses": [
                    {
                        "name": name, "ready": phase == "Running", "restartCount": 0,
                        "image": "none", "imageID": "", "state": state,
                    }
                ],
            }
        }  # fmt: skip
        path = f"{self.path}/{pod['metadata']['name']}"
        await self._client.merge_patch(path, body, subresource="status")


def _spawned(command: list[str], env: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as output:
        return subprocess.Popen(command, env=env, stdout=output, stderr=output)
