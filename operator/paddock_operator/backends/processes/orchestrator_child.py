"""The orchestrator as a child of `paddock up`: started, adopted, and started again when it dies."""

import asyncio
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
import psutil

from paddock.client.contexts import Context, ContextFile
from paddock_operator.backends.processes.child import Child, find, rotate, spawn, tail
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
        self._state_dir = str(folder / "orchestrator")
        self._output = folder / "logs" / "orchestrator.log"
        self._env = env
        self._port = port
        self._child: Child | None = None
        self._backoff = CrashBackoff(0.2, 10.0)
        self._started_at = 0.0
        self._recorded = False
        self._said_from = 0
        """Where in its log begins what this one says."""
        self.started_here = False
        """Whether it was started, and not found."""

    def ensure(self) -> bool:
        """Start it if it does not run and its back-off allows; True when it was (re)started.

        Raises `OSError` when it cannot be started or recorded; the next call tries again.
        """
        rotate(self._output)
        if self._child is None:
            self._adopt()
        if self._child is not None and self._child.alive():
            self._write_down(self._child)
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
            "--state-dir", self._state_dir, "--context-name", self._name,
        ]  # fmt: skip
        self._said_from = self._output.stat().st_size if self._output.exists() else 0
        self._child, _ = spawn(command, env=self._env, cwd=self._folder, output=self._output)
        self.started_here, self._recorded = True, False
        self._started_at = now
        self._write_down(self._child)

    def _write_down(self, child: Child) -> None:
        """Once it is done, for whoever comes after `paddock up` was killed."""
        if not self._recorded:
            draft = self._record.with_suffix(".tmp")
            draft.write_text(json.dumps({"pid": child.pid, "started": child.started}))
            draft.replace(self._record)
            self._recorded = True

    def _adopt(self) -> None:
        child = self._written_down() or find(self._is_it)
        if child is not None:
            self._child = child
            self._started_at = child.started
            log.info("orchestrator_adopted", extra={"pid": child.pid})

    def _written_down(self) -> Child | None:
        self._recorded = False
        with contextlib.suppress(OSError, ValueError, KeyError):
            raw = json.loads(self._record.read_text())
            child = Child(int(raw["pid"]), float(raw["started"]))
            self._recorded = child.alive()
            return child if self._recorded else None
        return None

    def _is_it(self, process: psutil.Process) -> bool:
        """Whether this is ours, where nobody came to write it down."""
        marks = {"orchestrator", "--state-dir", self._state_dir, "--context-name", self._name}
        return marks <= set(process.cmdline())

    async def wait_ready(self) -> Context:
        """Until it answers; how to reach it. Raises `OrchestratorFailed` with its last lines."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._child is None or not self._child.alive():
                break
            context = await asyncio.to_thread(self._answering)
            if context is not None:
                self._keep_port(context)
                return context
            await asyncio.sleep(0.05)
        said = tail(self._output, 5, self._said_from)
        raise OrchestratorFailed("\n".join(said) or "it said nothing")

    def _keep_port(self, context: Context) -> None:
        """Where runners know it to be it must come back, whatever was asked for."""
        port = httpx.URL(context.url).port or self._port
        if self._port not in (0, port):
            hint = f"`paddock down {self._name}`, then `paddock up`, moves it"
            log.warning("port_not_used", extra={"asked": self._port, "kept": port, "hint": hint})
        self._port = port

    def _answering(self) -> Context | None:
        context = ContextFile.load(self._env).contexts.get(self._name)
        return context if context is not None and self._answers(context) else None

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
