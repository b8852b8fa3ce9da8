"""What a start costs: the whole production path against a dispatcher that only dispatches.

Measured over real sockets with 100 and with 1,000 connected runners, each start with a key of its
own for idempotency, each session with its three events and its end: starts per second and CPU per
start of the server process (all threads, as the kernel accounts them) at 64 clients; latency with
one client; latency at 1,000 starts a second offered on a clock. Reference: `bare.py`, under the
same load, in turns with it; see there what it leaves out.
"""

import time
from pathlib import Path
from typing import Any

from bench.harness import LOAD_LIMIT, Server, run_load, start_bare, start_orchestrator, state_folder
from bench.rows import Row, compare, median

HOLD_MS, ACTIVE_MS = 200, 5
_CASES: dict[str, dict[str, object]] = {
    "64 clients": {"clients": 64},
    "one client": {"clients": 1},
    "1,000/s offered": {"clients": 256, "rate": 1000},
}
_Pair = tuple[dict[str, Any], dict[str, Any]]


def bench(*, quick: bool) -> list[Row]:
    """The rows of this benchmark."""
    rounds, seconds = (1, 1.0) if quick else (5, 2.0)
    pairs: dict[tuple[int, str], list[_Pair]] = {}
    with state_folder() as folder:
        servers: list[Server] = []
        try:
            servers += [start_orchestrator(folder), start_bare()]
            for _ in range(rounds):
                for runners in (100, 1000):
                    for case, options in _CASES.items():
                        pair = [_run(s, runners, seconds, options) for s in servers]
                        pairs.setdefault((runners, case), []).append((pair[0], pair[1]))
        finally:
            for server in servers:
                server.end()
    rows = []
    for runners in (100, 1000):
        rows += _saturated(runners, pairs[runners, "64 clients"])
        for case, p50, p99 in (("one client", 1.5, 3.0), ("1,000/s offered", None, 3.0)):
            rows += _latency(f"{runners} runners, {case}", pairs[runners, case], p50, p99)
    print("nats-server request/reply is not measured here: bare.py is the one reference")
    return rows


def _run(
    server: Server, runners: int, seconds: float, options: dict[str, object]
) -> dict[str, Any]:
    _wait_quiet()
    return run_load(
        server, runners=runners, seconds=seconds, hold_ms=HOLD_MS, active_ms=ACTIVE_MS,
        tag=f"r{runners}", **options,
    )  # fmt: skip


def _saturated(runners: int, pairs: list[_Pair]) -> list[Row]:
    name = f"{runners} runners, 64 clients"
    note = _note(pairs)
    counted = _counted(pairs)
    cpu = [[run["cpu_us_per_start"] for run in pair] for pair in counted]
    rps = [[run["rps"] for run in pair] for pair in counted]
    goal = compare(
        f"{name}: starts/s", "/s", *_columns(rps), at_least=0.45, note=f"stretch 0.6x{note}"
    )
    used = compare(f"{name}: CPU per start", "us", *_columns(cpu), at_most=2.2, note=note)
    return [used, goal]


def _latency(name: str, pairs: list[_Pair], p50: float | None, p99: float) -> list[Row]:
    rows = []
    for quantile, at_most in (("p50_us", p50), ("p99_us", p99)):
        values = [[run[quantile] for run in pair] for pair in _counted(pairs)]
        figure = f"{name}: {quantile[:3]}"
        rows.append(compare(figure, "us", *_columns(values), at_most=at_most, note=_note(pairs)))
    return rows


def _columns(pairs: list[list[float]]) -> tuple[list[float], list[float]]:
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _counted(pairs: list[_Pair]) -> list[_Pair]:
    return [pair for pair in pairs if all(run["load_share"] < LOAD_LIMIT for run in pair)]


def _note(pairs: list[_Pair]) -> str:
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
    return "; ".join(["", *notes]) if notes else ""


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
