"""What the benchmarks share: servers and load as processes on cores of their own.

The server has one core and the load another where there are two. A row whose load generator used
80 % of its core or more measures the generator, and is marked as not counted.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LOAD_LIMIT = 0.8
_ORCHESTRATOR = "from paddock_orchestrator.cli import orchestrator; orchestrator()"


class BenchError(Exception):
    """A benchmark that cannot run here, and what it would take."""


def usable_cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core serves and which one loads; None where there is only one."""

    server: int | None
    load: int | None

    @classmethod
    def here(cls) -> "Cores":
        usable = usable_cores()
        return cls(usable[0], usable[1]) if len(usable) > 1 else cls(None, None)


CORES = Cores.here()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def load_program(name: str) -> Path:
    """A load generator, compiled when its source changed."""
    source = HERE / f"{name}.c"
    text = source.read_bytes() + (HERE / "measure.h").read_bytes()
    folder = Path(tempfile.gettempdir()) / f"paddock-bench-{os.getuid()}"
    program = folder / f"{name}-{hashlib.sha256(text).hexdigest()[:16]}"
    if program.exists():
        return program
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise BenchError(f"no C compiler (cc, gcc or clang) for {source}: install one")
    folder.mkdir(mode=0o700, exist_ok=True)
    draft = folder / f"draft-{os.getpid()}"
    built = subprocess.run(
        [compiler, "-O2", "-o", draft, source], check=False, capture_output=True, text=True
    )
    if built.returncode:
        raise BenchError(f"{compiler} cannot compile {source}: {built.stderr[-2000:]}")
    draft.replace(program)
    return program


def _spawn(arguments: Sequence[str], core: int | None, **how: Any) -> "subprocess.Popen[str]":
    """The process, on its core from the first: threads made before they are pinned would not be."""
    usable = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        return subprocess.Popen(arguments, text=True, cwd=ROOT, **how)
    finally:
        os.sched_setaffinity(0, usable)


@dataclass(slots=True)
class Server:
    """A server process, and the program that loads it. `listening_ns` is when its port was first
    seen to accept, `serving_ns` when it first answered; monotonic clock."""

    process: "subprocess.Popen[str]"
    port: int
    keys: dict[str, str] = field(default_factory=dict)
    listening_ns: int = 0
    serving_ns: int = 0
    load: str = "load"

    @property
    def pid(self) -> int:
        return self.process.pid

    def get(self, path: str) -> str:
        """A document of the management API."""
        key = self.keys.get("private_key", "")
        return self._got(path, {"Authorization": f"Bearer {key}"}).decode()

    def scrape(self) -> bytes:
        """The page of a scraper in gzip, for which a Prometheus asks."""
        return self._got("/metrics", {"Accept-Encoding": "gzip"})

    def _got(self, path: str, headers: dict[str, str]) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            body: bytes = answer.read()
            return body

    def end(self, number: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)

    def rss_kb(self) -> int:
        return rss_kb(self.pid)


def rss_kb(pid: int) -> int:
    """Resident memory of a process, KiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def wait_serving(server: Server, *, within_s: float = 60.0) -> None:
    """Until the server answers a request. Raises `BenchError` when the process ended instead."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise BenchError(f"the server ended with {server.process.returncode}")
        with socket.socket() as probe:
            probe.settimeout(within_s)
            if probe.connect_ex(("127.0.0.1", server.port)) == 0:
                server.listening_ns = server.listening_ns or time.monotonic_ns()
                probe.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                with contextlib.suppress(OSError):
                    if probe.recv(4096):
                        server.serving_ns = time.monotonic_ns()
                        return
        time.sleep(0.003)
    raise BenchError(f"nothing answers on port {server.port} after {within_s:g} s")


def start_orchestrator(folder: Path, port: int | None = None, database_url: str = "") -> Server:
    """The orchestrator over the state in `folder`, as production runs it, its log in a file."""
    port = port or free_port()
    env = {**os.environ, "PADDOCK_CONTEXTS": str(folder / "contexts.json")}
    arguments = [
        sys.executable, "-c", _ORCHESTRATOR, "--port", str(port), "--state-dir", str(folder),
        "--starts-per-s", "1000000", "--starts-burst", "1000000",
        *(["--database-url", database_url] if database_url else []),
    ]  # fmt: skip
    with (folder / "log").open("a") as log:
        server = Server(_spawn(arguments, CORES.server, env=env, stderr=log, stdout=log), port)
    try:
        wait_serving(server)
        found = json.loads((folder / "contexts.json").read_text())["contexts"]
    except BaseException:
        server.end(signal.SIGKILL)
        raise
    server.keys = next(c for c in found if c["name"] == "local")
    return server


def start_bare(port: int | None = None) -> Server:
    """The reference dispatcher."""
    port = port or free_port()
    arguments = [sys.executable, str(HERE / "bare.py"), "--port", str(port)]
    server = Server(_spawn(arguments, CORES.server), port)
    wait_serving(server)
    return server


def nats_server() -> str | None:
    """Where `nats-server` is installed, if it is; Debian's place is not on every user's path."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
    return shutil.which("nats-server", path=path)


def start_nats(program: str) -> Server:
    """A `nats-server` as it comes: nothing is stored, no log but of its start."""
    port = free_port()
    arguments = [program, "--addr", "127.0.0.1", "--port", str(port)]
    server = Server(
        _spawn(arguments, CORES.server, stderr=subprocess.DEVNULL), port, load="nats_load"
    )
    wait_serving(server)
    return server


@contextlib.contextmanager
def state_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        yield Path(name)


class Load:
    """A load generator under way. What it prints are JSON objects, one on each line."""

    def __init__(self, server: Server, **options: object) -> None:
        arguments = [str(load_program(server.load)), "--port", str(server.port)]
        arguments += ["--server-pid", str(server.pid)]
        if CORES.server is not None:
            arguments += ["--server-core", str(CORES.server)]
        for kind in ("runner", "public"):
            if f"{kind}_key" in server.keys:
                arguments += [f"--{kind}-key", server.keys[f"{kind}_key"]]
        for name, value in options.items():
            if value is not False:
                arguments.append(f"--{name.replace('_', '-')}")
            if not isinstance(value, bool):
                arguments.append(str(value))
        pipe = subprocess.PIPE
        self.process = _spawn(arguments, CORES.load, stdin=pipe, stdout=pipe)
        self._lines: IO[str] = self.process.stdout  # type: ignore[assignment]

    def until(self, name: str) -> Any:
        """The value of the next line about `name`; its whole line when it is a number."""
        for line in self._lines:
            said = json.loads(line)
            if name in said:
                return said[name] if isinstance(said[name], dict) else said
        raise BenchError(f"the load generator ended with {self.process.wait()} before {name!r}")

    def end(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def run_load(server: Server, **options: object) -> dict[str, Any]:
    """One measurement from beginning to end."""
    load = Load(server, **options)
    try:
        result: dict[str, Any] = load.until("result")
        return result
    finally:
        load.end()
