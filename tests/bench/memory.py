"""Memory of the orchestrator per open socket and per live session, and of a runner process.

Resident memory before and after a thousand sockets or ten thousand sessions more, over what a first
batch of the same kind had already made room for. Reference: the same sockets on `bare.py`, which is
the server library's own share; for a runner process, an interpreter with asyncio and websockets.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.harness import (
    BenchError,
    Load,
    Server,
    rss_kb,
    start_bare,
    start_orchestrator,
    state_folder,
)
from bench.rows import Row, limited, median

_RUNNER = """
from paddock import AgentRunner
async def entry(ctx): pass
AgentRunner(entrypoint=entry, agent_id="bench").start()
"""
_PLAIN = "import asyncio, websockets, time; import websockets.asyncio.client; time.sleep(60)"
SETTLE_S = 2.5  # a checkpoint and a sweep


def bench(*, quick: bool) -> list[Row]:
    """The rows of this benchmark."""
    sockets, sessions = (1000, 3000) if quick else (1000, 10_000)
    found: dict[str, list[float]] = {}

    def add(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    for _ in range(1 if quick else 2):
        for name, start in (("ours", start_orchestrator), ("bare", _bare)):
            runner_kb = _fresh(start, partial(_idle, many=sockets))
            add(f"{name} socket", runner_kb)
            # The runners that hold the sessions, 50 each, came with them.
            add(f"{name} session", _fresh(start, partial(_live, many=sessions)) - runner_kb / 50)
        for kind in ("bridges", "texts"):
            add(kind, _fresh(start_orchestrator, partial(_lines, many=sockets, kind=kind)))
        add("runner", _fresh(start_orchestrator, _runner_rss_mb))
        add("plain", _plain_rss_mb())
    mid = {name: median(values) for name, values in found.items()}
    floor = mid["bare socket"]
    return [
        limited("runner socket, idle", mid["ours socket"], "KB", 40, reference=floor),
        limited("bridge socket", mid["bridges"], "KB", 40, reference=floor),
        limited("text socket", mid["texts"], "KB", 40, reference=floor),
        limited("live session", mid["ours session"], "KB", 4, reference=mid["bare session"]),
        limited("runner process", mid["runner"], "MB", 45, reference=mid["plain"]),
    ]


def _bare(_folder: Path) -> Server:
    return start_bare()


def _fresh(start: Callable[[Path], Server], measure: Callable[[Server], float]) -> float:
    """`measure` on a server of its own: memory that was free before would be used again."""
    with state_folder() as folder:
        server = start(folder)
        try:
            return measure(server)
        finally:
            server.end()


def _grown_kb(server: Server, first: Callable[[], Load], second: Callable[[], Load]) -> float:
    """How much the second load made the server grow."""
    loads = []
    try:
        loads.append(first())
        time.sleep(SETTLE_S)
        before = server.rss_kb()
        loads.append(second())
        time.sleep(SETTLE_S)
        return server.rss_kb() - before
    finally:
        for load in loads:
            load.end()


def _connected(load: Load, sockets: int) -> Load:
    while load.until("connected")["connected"] < sockets:
        pass
    return load


def _idle(server: Server, many: int) -> float:
    def connect(count: int, tag: str) -> Load:
        return _connected(Load(server, runners=count, clients=0, stay=True, tag=tag), count)

    return _grown_kb(server, lambda: connect(200, "a"), lambda: connect(many, "b")) / many


def _live(server: Server, many: int) -> float:
    def start(count: int, tag: str) -> Load:
        load = Load(server, runners=count // 50, clients=16, count=count, stay=True, tag=tag)
        load.until("result")
        return load

    return _grown_kb(server, lambda: start(1000, "a"), lambda: start(many, "b")) / many


def _lines(server: Server, many: int, kind: str) -> float:
    """Sockets of sessions that are there already, so that they alone are counted."""
    loads = []
    try:
        for tag in ("a", "b"):
            load = Load(
                server, runners=many // 50, clients=16, count=many, stay=True, tag=tag,
                dial_after_s=SETTLE_S + 1.0, **{kind: True},
            )  # fmt: skip
            loads.append(load)
            load.until("result")
            time.sleep(SETTLE_S)
            before = server.rss_kb()
            _connected(load, many)
            time.sleep(1.0)
        return (server.rss_kb() - before) / many
    finally:
        for load in loads:
            load.end()


def _runner_rss_mb(server: Server) -> float:
    """A runner that registered and has not taken a call: ours alone, nothing of the user's."""
    env = {
        **os.environ,
        "PADDOCK_BASE_URL": f"http://127.0.0.1:{server.port}",
        "PADDOCK_API_KEY": server.keys["runner_key"],
    }
    with subprocess.Popen(
        [sys.executable, "-c", _RUNNER], env=env, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            deadline = time.monotonic() + 20
            while '"connected":true' not in server.get("/v1/internal/stats"):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise BenchError("the runner did not register")
                time.sleep(0.1)
            time.sleep(0.5)
            return rss_kb(process.pid) / 1024
        finally:
            process.terminate()


def _plain_rss_mb() -> float:
    with subprocess.Popen([sys.executable, "-c", _PLAIN]) as process:
        try:
            time.sleep(1.5)
            return rss_kb(process.pid) / 1024
        finally:
            process.kill()
