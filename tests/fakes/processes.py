"""The orchestrator and runners as real processes, on ports the system chooses."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from fakes.forked import Forked, fork
from fakes.waiting import PATIENCE_S, eventually
from testbed.ports import free_ports

_AGENT = Path(__file__).with_name("agent_program.py")


def free_port() -> int:
    """One that stays free while nobody listens on it, so that a server may come back on it."""
    (port,) = free_ports(1)
    return port


class Process:
    """A child process with its output in a file."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.log = directory / f"{name}.log"
        self.child: subprocess.Popen[bytes] | Forked | None = None

    def spawn(self, command: list[str], env: dict[str, str]) -> None:
        with self.log.open("ab") as output:
            self.child = subprocess.Popen(
                command, env=self._environment(env), stdout=output, stderr=output,
                cwd=self.directory,
            )  # fmt: skip

    def fork(self, words: list[str], env: dict[str, str]) -> None:
        """Likewise, `paddock` with these words."""
        self.child = fork(words, env=self._environment(env), cwd=self.directory, output=self.log)

    def _environment(self, env: dict[str, str]) -> dict[str, str]:
        inherited = {
            k: os.environ[k] for k in ("PATH", "LANG", "LD_LIBRARY_PATH") if k in os.environ
        }
        home = self.directory / "home"
        home.mkdir(exist_ok=True)
        return {**inherited, "HOME": str(home), **env}

    @property
    def pid(self) -> int:
        assert self.child is not None
        return self.child.pid

    @property
    def exit_code(self) -> int | None:
        assert self.child is not None
        return self.child.poll()

    def signal(self, number: int) -> None:
        assert self.child is not None
        self.child.send_signal(number)

    def kill(self) -> None:
        """kill -9, and gone when this returns."""
        if self.child is not None and self.child.poll() is None:
            self.child.kill()
            self.child.wait()

    async def exited(self, within_s: float = PATIENCE_S) -> int:
        code = await eventually(
            lambda: None if self.exit_code is None else (self.exit_code,), within_s=within_s,
            what=f"exit of {self.log.name}",
        )  # fmt: skip
        return int(code[0])

    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def resident_kib(self) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")


class Server(Process):
    """An orchestrator; after `kill` or `stop` it starts again on the same port and state."""

    def __init__(self, directory: Path, *options: str) -> None:
        super().__init__(directory, "orchestrator")
        self.options = options
        self.port = free_port()
        self.keys: dict[str, str] = {}

    async def start(self) -> None:
        before = len(self.text())
        words = [
            "orchestrator", "--port", str(self.port),
            "--state-dir", str(self.directory / "state"), "--log-format", "json",
            "--public-url", self.url, *self.options,
        ]  # fmt: skip
        self.fork(words, {"PADDOCK_CONTEXTS": str(self.contexts)})
        await eventually(lambda: self._listening(before), what="listening")
        context = json.loads(self.contexts.read_text())["contexts"][0]
        self.keys = {k: context[f"{k}_key"] for k in ("private", "public", "runner")}

    def _listening(self, before: int) -> bool:
        if self.exit_code is not None:
            raise AssertionError(self.text())
        for line in self.text()[before:].splitlines():
            if "listening" in line and '"pid"' in line:
                return True
        return False

    @property
    def contexts(self) -> Path:
        return self.directory / "contexts.json"

    @property
    def database(self) -> Path:
        return self.directory / "state" / "orchestrator.db"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def http(self, key: str = "private") -> httpx.AsyncClient:
        text = self.keys.get(key, key)
        headers = {"Authorization": f"Bearer {text}"} if text else {}
        # A connection that was idle is let go before the server lets it go: 5 s.
        limits = httpx.Limits(keepalive_expiry=2.0)
        return httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=60, limits=limits, trust_env=False,
            verify=False,
        )  # fmt: skip

    async def begin(self, agent: str = "desk", **body: Any) -> dict[str, Any]:
        """A started session."""
        async with self.http("public") as http:
            answer = await http.post(f"/v1/public/{agent}/start", json={"body": body})
        assert answer.status_code == 200, answer.text
        started: dict[str, Any] = answer.json()
        return started

    async def get(self, path: str) -> Any:
        async with self.http() as http:
            answer = await http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def declare(self, agent: str = "desk", **declaration: Any) -> None:
        """Be the pool's reconciler, once."""
        async with self.http() as http:
            answer = await http.put(f"/v1/internal/agents/{agent}/pool", json=declaration)
        assert answer.status_code == 200, answer.text

    async def session(self, session_id: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.get(f"/v1/sessions/{session_id}")
        return found

    async def ended(self, session_id: str, within_s: float = PATIENCE_S) -> tuple[str, str]:
        """How the session ended, once it has and its slot is free."""

        async def row() -> dict[str, Any] | None:
            found = await self.session(session_id)
            return found if found["state"] == "ended" else None

        found = await eventually(row, within_s=within_s, what=f"end of {session_id}")
        assert found is not None
        return (found["end_reason"], found["end_detail"])

    async def idle(self, agent: str = "desk", within_s: float = PATIENCE_S) -> None:
        """Nothing is in flight or queued."""

        async def nothing() -> bool:
            found = await self.get(f"/v1/agents/{agent}")
            return bool(found["in_flight"] == 0 and found["queued"] == 0)

        await eventually(nothing, within_s=within_s, what="an idle pool")


class RunnerProcess(Process):
    """A runner of `agent_program.py`."""

    def __init__(self, server: Server, name: str = "r1", *, agent: str = "desk") -> None:
        super().__init__(server.directory, name)
        self.server, self.name, self.agent = server, name, agent

    async def start(self, *, slots: int = 4, base_url: str = "", **env: str) -> None:
        settings = {
            "PADDOCK_BASE_URL": base_url or self.server.url,
            "PADDOCK_API_KEY": self.server.keys["runner"],
            "PADDOCK_AGENT_ID": self.agent,
            "PADDOCK_RUNNER_ID": self.name,
            "PADDOCK_MAX_SESSIONS": str(slots),
            "PADDOCK_CONTEXTS": str(self.server.contexts),
        }
        self.spawn([sys.executable, str(_AGENT)], settings | env)
        await eventually(self.connected, what=f"registration of {self.name}")

    async def connected(self) -> bool:
        if self.exit_code is not None:
            raise AssertionError(self.text())
        runners = await self.server.get("/v1/runners")
        return any(r["runner_id"] == self.name and r["connected"] for r in runners)

    def terminate(self) -> None:
        self.signal(signal.SIGTERM)
