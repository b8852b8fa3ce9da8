"""What a start costs: the whole production path against a dispatcher that only dispatches.

Measured over real sockets with 100 and with 1,000 connected runners, each start with a key of its
own for idempotency, each session with its three events and its end: starts per second and CPU per
start of the server process (all threads, as the kernel accounts them) at 64 clients; latency with
one client; latency at 1,000 starts a second offered on a clock. Reference: `bare.py`, under the
same load, in turns with it; see there what it leaves out.

Second reference, where it is installed: `nats-server`, request/reply over as many subscribers in
one queue group with frames of the size of ours. No HTTP, no WebSocket, no choice of a runner with a
free slot, no events: how far a compiled message broker with its own protocol gets over the same
hops. Without targets.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.harness import (
    LOAD_LIMIT,
    Server,
    nats_server,
    run_load,
    start_bare,
    start_nats,
    start_orchestrator,
    state_folder,
)
from bench.rows import Row, compare, median

RUNNERS = (100, 1000)
HOLD_MS, ACTIVE_MS = 200, 5
CASES: dict[str, dict[str, object]] = {
    "64 clients": {"clients": 64},
    "one client": {"clients": 1},
    "1,000/s offered": {"clients": 256, "rate": 1000},
}
_CPU = ("cpu_us_per_start", "CPU per start", "us")
_RATE = ("rps", "starts/s", "/s")
_P50, _P99 = ("p50_us", "p50", "us"), ("p99_us", "p99", "us")
_FIGURES = {
    "64 clients": (_CPU, _RATE),
    "one client": (_P50, _P99),
    "1,000/s offered": (_P50, _P99),
}
_TARGETS: Mapping[tuple[str, str], dict[str, Any]] = {
    ("64 clients", "cpu_us_per_start"): {"at_most": 2.2},
    ("64 clients", "rps"): {"at_least": 0.45, "note": "stretch 0.6x"},
    ("one client", "p50_us"): {"at_most": 1.5},
    ("one client", "p99_us"): {"at_most": 3.0},
    ("1,000/s offered", "p99_us"): {"at_most": 3.0},
}
_Pair = tuple[dict[str, Any], dict[str, Any]]
"""A run of ours, and the one of a reference that followed it."""
Pairs = dict[tuple[int, str], list[_Pair]]


def bench(*, quick: bool) -> list[Row]:
    """The rows of this benchmark."""
    rounds, seconds = (1, 1.0) if quick else (5, 2.0)
    to_bare: Pairs = {}
    to_nats: Pairs = {}
    program = nats_server()
    with state_folder() as folder:
        servers: list[Server] = []
        try:
            servers += [start_orchestrator(folder), start_bare()]
            servers += [start_nats(program)] if program else []
            for _ in range(rounds):
                for runners in RUNNERS:
                    for case, options in CASES.items():
                        ours, bare = [measured(s, runners, seconds, options) for s in servers[:2]]
                        to_bare.setdefault((runners, case), []).append((ours, bare))
                        for server in servers[2:]:
                            nats = _run_nats(server, runners, seconds, options)
                            to_nats.setdefault((runners, case), []).append((ours, nats))
        finally:
            for server in servers:
                server.end()
    if program is None:
        print("nats-server request/reply is not measured: there is no nats-server on the PATH")
        return rows_of(to_bare, _TARGETS)
    return rows_of(to_bare, _TARGETS) + rows_of(to_nats, {}, "to nats-server request/reply")


def measured(
    server: Server, runners: int, seconds: float, options: dict[str, object]
) -> dict[str, Any]:
    _wait_quiet()
    return run_load(
        server, runners=runners, seconds=seconds, hold_ms=HOLD_MS, active_ms=ACTIVE_MS,
        tag=f"r{runners}", **options,
    )  # fmt: skip


def _run_nats(
    server: Server, runners: int, seconds: float, options: dict[str, object]
) -> dict[str, Any]:
    _wait_quiet()
    return run_load(server, runners=runners, seconds=seconds, **options)


def rows_of(
    pairs: Pairs, targets: Mapping[tuple[str, str], dict[str, Any]], reference: str = ""
) -> list[Row]:
    """The figures of every case beside those of the reference, with their targets if it has any."""
    rows = []
    for (runners, case), runs in pairs.items():
        for field, name, unit in _FIGURES[case]:
            target = {"note": "", **targets.get((case, field), {})}
            target["note"] = "; ".join(filter(None, (target["note"], *_doubts(runs))))
            figure = " ".join(filter(None, (f"{runners} runners, {case}: {name}", reference)))
            counted = _counted(runs)
            ours, its = [run[0][field] for run in counted], [run[1][field] for run in counted]
            rows.append(compare(figure, unit, ours, its, **target))
    return rows


def _counted(pairs: list[_Pair]) -> list[_Pair]:
    return [pair for pair in pairs if all(run["load_share"] < LOAD_LIMIT for run in pair)]


def _doubts(pairs: list[_Pair]) -> list[str]:
    """What makes a row doubtful: failed starts, a busy generator, others on the server's core."""
    notes = []
    failed = sum(sum(run["errors"].values()) for pair in pairs for run in pair)
    if failed:
        notes.append(f"{failed} starts failed")
    dropped = len(pairs) - len(_counted(pairs))
    if dropped:
        notes.append(f"{dropped} of {len(pairs)} rounds not counted")
    foreign = median([run["foreign_share"] for pair in pairs for run in pair])
    if foreign > 0.15:
        notes.append(f"others used {foreign:.0%} of the core")
    return notes


def _wait_quiet(limit_s: float = 3.0) -> None:
    """Until the machine is idle for a moment, or for as long as it makes sense to wait."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        before = _busy_ticks()
        time.sleep(0.2)
        if _busy_ticks() - before <= 4:
            return


def _busy_ticks() -> int:
    user, nice, system = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:4]
    return int(user) + int(nice) + int(system)
