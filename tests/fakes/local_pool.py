"""A pool run by a real `paddock up`, in a folder of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from paddock.client.contexts import Context, ContextFile

AGENT = """
import asyncio
from paddock import AgentRunner, CallContext

class Parrot:
    async def stream(self, text, context=None, language=None):
        yield "heard " + text

async def handle(ctx: CallContext) -> None:
    ctx.session.dialog_machine = Parrot()
    await ctx.session.say("hello")
    await ctx.session.run()

AgentRunner(entrypoint=handle, permits_per_minute=6000).start()
"""

MANIFEST = """
apiVersion: paddock.dev/v1alpha1
kind: AgentDeployment
metadata: {{name: pool}}
spec:
  sessionsPerRunner: 2
  sessions: {{queueTimeoutSeconds: 45}}
  scaling: {{minRunners: {least}, maxRunners: {most}, startupSecondsHint: 1,
             meanSessionSecondsHint: 5}}
  drain: {{timeoutSeconds: 90, warnBeforeSeconds: 5}}
  rollout: {{minReadySeconds: 1}}
  failure: {{backoffSeconds: {backoff}, maxBackoffSeconds: 8}}
  template:
    spec:
      containers:
        - name: runner
          command: {command}
          env: [{{name: MARK, value: "{mark}"}}]
"""


@dataclass
class LocalPool:
    """`paddock up` and the folder it works in."""

    folder: Path
    env: dict[str, str]
    processes: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def write(
        self, *, least: int = 1, most: int = 3, mark: str = "1", backoff: int = 1,
        command: str = "[python, agent.py]",
    ) -> None:  # fmt: skip
        """(Re)write the manifest."""
        text = MANIFEST.format(least=least, most=most, mark=mark, backoff=backoff, command=command)
        self.save(text.encode())

    @property
    def manifest(self) -> Path:
        return self.folder / "agentdeployment.yaml"

    def save(self, content: bytes) -> None:
        """The manifest, all of it at once: half of it is complained of for another reason."""
        draft = self.manifest.with_suffix(".draft")
        draft.write_bytes(content)
        draft.replace(self.manifest)

    def up(self, *options: str) -> "subprocess.Popen[bytes]":
        """Start `paddock up`."""
        with open(self.folder / "up.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "paddock", "up", "--port", "0", *options],
                cwd=self.folder, env=self.env, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def paddock(self, *words: str, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "paddock", *words], cwd=self.folder, env=self.env,
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    @property
    def log(self) -> str:
        return (self.folder / "up.log").read_text()

    @property
    def context(self) -> Context:
        return ContextFile.load(self.env).contexts["pool"]

    def get(self, path: str) -> Any:
        """GET as the manager; {} while nothing answers."""
        with contextlib.suppress(httpx.HTTPError, KeyError, ValueError):
            key = {"Authorization": f"Bearer {self.context.private_key}"}
            answer = httpx.get(self.context.url + path, headers=key, timeout=20, trust_env=False)
            return answer.json()
        return {}

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get("/v1/agents/pool")
        return found

    def serving(self) -> list[dict[str, Any]]:
        """Runners that serve, as the pool shows them."""
        runners = self.status().get("pool", {}).get("runners", [])
        return [r for r in runners if r["stage"] == "serving"]

    def draining(self) -> list[str]:
        """Runners that take no new calls, as the orchestrator knows."""
        found = self.get("/v1/runners")
        known = found if isinstance(found, list) else []
        return [each["runner_id"] for each in known if each["draining"]]

    def record(self, name: str) -> dict[str, Any]:
        path = self.folder / "state" / "pool" / name
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def orchestrators(self) -> list[int]:
        """Pids of this folder's orchestrators, whoever started them."""
        found = []
        for each in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = each.environ().get("PADDOCK_HOME") == self.env["PADDOCK_HOME"]
                if ours and "orchestrator" in each.cmdline():
                    found.append(each.pid)
        return found

    def stop(self) -> None:
        """Leave nothing behind."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait(10)
        kill_all_of(self.env["PADDOCK_HOME"])


def kill_all_of(home: str) -> None:
    """Every process whose PADDOCK_HOME this is."""
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if each.environ().get("PADDOCK_HOME") == home:
                os.kill(each.pid, signal.SIGKILL)


def wait_for(what: str, check: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    """Poll until `check` is truthy, and once more after the deadline; fails naming what it was."""
    deadline = time.monotonic() + timeout_s
    while True:
        late = time.monotonic() > deadline
        found = check()
        if found:
            return found
        if late:
            pytest.fail(f"waited {timeout_s:g} s for {what}")
        time.sleep(0.1)
