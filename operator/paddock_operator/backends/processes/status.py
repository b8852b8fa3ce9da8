"""What people see of a local pool: in `paddock status`, and wherever the orchestrator passes it."""

import time
from typing import Any

from paddock_operator.backends.processes.backend import Crash, ProcessBackend
from paddock_operator.reconcile.passes import Pass
from paddock_operator.reconcile.shown import shown


def pool_status(last: Pass, backend: ProcessBackend, problem: str) -> dict[str, Any]:
    """JSON-able: runners with their stage and resources, crashes with their last lines."""
    status = shown(last, backend="processes", problem=problem, now=time.time())
    for runner in status["runners"]:
        pid, cpu_s, rss = backend.usage(runner["runner"])
        runner.update(pid=pid, cpu_s=round(cpu_s, 2), memory_mb=round(rss / 1e6, 1))
    return {**status, "crashes": [_crash(c) for c in backend.crashes]}


def _crash(crash: Crash) -> dict[str, Any]:
    return {
        "runner": crash.runner_id,
        "revision": crash.revision,
        "ago_s": round(time.time() - crash.at, 1),
        "exit": crash.exit,
        "lines": list(crash.lines),
    }
