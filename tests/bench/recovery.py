"""How long a restarted orchestrator takes to have everything again.

It is killed with SIGKILL and started on the same port and database. Clients try again after a
random wait under a ceiling that doubles to 1 s. Time counts from the first connection the new
process accepted until the last socket was answered: 1,000 runners that list 50 sessions each and
hold no bridge; separately 1,000 live bridges of 20 runners. Then the statistics must show each
session exactly once, in flight, and none ended or cancelled. Reference: as many runners registering
with `bare.py`, restarted likewise.
"""

import json
import signal
import time
from pathlib import Path
from typing import Any

from bench.harness import BenchError, Load, Server, start_bare, start_orchestrator, state_folder
from bench.rows import Row, limited, median


def bench(*, quick: bool) -> list[Row]:
    """The rows of this benchmark."""
    rounds = 1 if quick else 2
    runners, each, bridges = (100, 50, 100) if quick else (1000, 50, 1000)
    controls, resumed, bare = [], [], []
    faults: list[str] = []
    for _ in range(rounds):
        bare.append(_bare(runners))
        with state_folder() as folder:
            took, wrong = _again(folder, runners, each, bridges=False)
            controls.append(took)
            faults += wrong
        with state_folder() as folder:
            took, wrong = _again(folder, max(1, bridges // 50), 50, bridges=True)
            resumed.append(took)
            faults += wrong
    note = "; ".join(sorted(set(faults))) or "none lost, none doubled"
    rows = [
        limited(
            f"{runners} control sockets with {each} sessions each", median(controls), "s", 3,
            reference=median(bare), note=note,
        ),
        limited(
            f"{bridges} live bridges resumed", median(resumed), "s", 5,
            reference=median(bare), note=note,
        ),
    ]  # fmt: skip
    for row in rows:
        row.met = bool(row.met) and not faults
    return rows


def _again(folder: Path, runners: int, each: int, *, bridges: bool) -> tuple[float, list[str]]:
    """Seconds from the first accepted connection to the last socket, and what went wrong."""
    server = start_orchestrator(folder)
    load: Load | None = None
    try:
        total = runners * each
        sockets = runners + (total if bridges else 0)
        load = Load(
            server, runners=runners, slots=each, clients=32, count=total, stay=True,
            bridges=bridges, ready_s=120, idempotent=0,
        )  # fmt: skip
        failed = load.until("result")["errors"]
        if failed:
            raise BenchError(f"starts failed while sessions were made: {failed}")
        _all_up(load, sockets)
        time.sleep(3.0)  # every session is active, and checkpointed as such
        before = _held(server)
        server.end(signal.SIGKILL)
        server = start_orchestrator(folder, server.port)
        said = _all_up(load, sockets)
        took = (said["at_ns"] - server.listening_ns) / 1e9
        time.sleep(1.5)
        after = _held(server)
        wrong = [] if before == after and len(after) == runners else [_difference(before, after)]
        if sum(after.values()) != total:
            wrong.append(f"{sum(after.values())} of {total} sessions")
        if said["cancels"]:
            wrong.append(f"{said['cancels']} sessions were cancelled")
        wrong += _ended(server)
        if bridges and f'sockets{{kind="bridge"}} {total}\n' not in server.get("/metrics"):
            wrong.append("not every bridge is open")
        return took, wrong
    finally:
        if load is not None:
            load.end()
        server.end()


def _all_up(load: Load, sockets: int) -> dict[str, Any]:
    said: dict[str, Any] = load.until("connected")
    while said["connected"] < sockets:
        said = load.until("connected")
    return said


def _held(server: Server) -> dict[str, int]:
    """Sessions by runner, as the orchestrator counts them."""
    line = json.loads(server.get("/v1/internal/stats").splitlines()[0])
    return {r["runner_id"]: r["in_flight"] for r in line["runners"] if r["connected"]}


def _difference(before: dict[str, int], after: dict[str, int]) -> str:
    other = sum(before.get(name) != after.get(name) for name in {*before, *after})
    return f"{other} runners hold another number of sessions than before"


def _ended(server: Server) -> list[str]:
    """What the metrics say about ended and lost sessions of this process."""
    names = ("paddock_orchestrator_sessions_ended_total{", "paddock_orchestrator_sessions_lost")
    return [
        line
        for line in server.get("/metrics").splitlines()
        if line.startswith(names) and not line.endswith(" 0")
    ]


def _bare(runners: int) -> float:
    server = start_bare()
    load: Load | None = None
    try:
        load = Load(server, runners=runners, clients=0, stay=True)
        _all_up(load, runners)
        time.sleep(1.0)
        server.end(signal.SIGKILL)
        server = start_bare(server.port)
        return float((_all_up(load, runners)["at_ns"] - server.listening_ns) / 1e9)
    finally:
        if load is not None:
            load.end()
        server.end()
