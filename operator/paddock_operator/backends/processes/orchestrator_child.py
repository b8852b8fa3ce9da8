"""The orchestrator as a child of `paddock up`: started, adopted, and started again when it dies."""

import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from paddock.client.contexts import Context, ContextFile
from paddock_operator.backends.processes.child import Child, rotate, spawn, tail
from paddock_operator.reconcile.crashes import CrashBackoff

log = logging.getLogger("paddock.up")

START_TIMEOUT_S = 30.0


class OrchestratorFailed(Exception):
    """The orchestrator does not come up; its last lines say why."""


class OrchestratorChild:
    """One orchestrator for one pool, in a session of its own so that it outlives `paddock up`."""

    def __init__(self, *, name: str, folder: Path, port: int, env: Mapping[str, str]) -> None:
        self._name = name
        self._folder = folder
        self._record = folder / "orchestrator.json"
        self._output = folder / "logs" / "orchestrator.log"
        self._env = env
        self._port = port
        self._child: Child | None = None
        self._backoff = CrashBackoff(0.2, 10.0)
        self._started_at = 0.0
        self._restarts = 0

    def ensure(self) -> bool:
        """Start it if it does not run and its back-off allows; True when it was (re)started."""
        rotate(self._output)
        if self._child is None:
            self._adopt()
        if self._child is not None and self._child.alive():
            return False
        now = time.time()
        if self._child is not None:
            log.warning("orchestrator_died", extra={"pid": self._child.pid})
            self._backoff.failed(now, lived_s=now - self._started_at)
            self._child = None
        if now < self._backoff.may_create_at:
            return False
        self._start(now)
        return True

    def _start(self, now: float) -> None:
        command = [
            sys.executable, "-m", "paddock", "orchestrator", "--port", str(self._port),
            "--state-dir", str(self._folder / "orchestrator"), "--context-name", self._name,
        ]  # fmt: skip
        self._child, _ = spawn(command, env=self._env, cwd=self._folder, output=self._output)
        self._started_at = now
        self._record.write_text(
            json.dumps({"pid": self._child.pid, "started": self._child.started})
        )

    def _adopt(self) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError):
            raw = json.loads(self._record.read_text())
            child = Child(int(raw["pid"]), float(raw["started"]))
            if child.alive():
                self._child = child
                self._started_at = child.started
                log.info("orchestrator_adopted", extra={"pid": child.pid})

    def wait_ready(self) -> Context:
        """Until it answers; how to reach it. Raises `OrchestratorFailed` with its last lines."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._child is None or not self._child.alive():
                break
            context = ContextFile.load(self._env).contexts.get(self._name)
            if context is not None and self._answers(context):
                self._port = httpx.URL(context.url).port or self._port
                return context
            time.sleep(0.05)
        raise OrchestratorFailed("\n".join(tail(self._output, 5)) or "it said nothing")

    @staticmethod
    def _answers(context: Context) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            answer = httpx.get(
                f"{context.url}/v1/internal/stats",
                headers={"Authorization": f"Bearer {context.private_key}"},
                timeout=2.0,
                trust_env=False,
            )
            return answer.status_code == 200
        return False

    @property
    def pid(self) -> int:
        return self._child.pid if self._child is not None else 0

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if it does not go within ten seconds."""
        child = self._child
        if child is None or not child.signal(signal.SIGTERM):
            return
        deadline = time.monotonic() + 10.0
        while child.alive() and time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child.pid, os.WNOHANG)
            time.sleep(0.05)
        child.kill()
        self._record.unlink(missing_ok=True)
