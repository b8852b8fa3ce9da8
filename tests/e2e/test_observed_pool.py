"""A local pool under a real Prometheus: whatever the dashboards and alerts ask for has data."""

import asyncio
import contextlib
import functools
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes.local_pool import LocalPool, wait_for
from fakes.processes import free_port
from fakes.prometheus import Prometheus, Unanswered, lint
from fakes.shown import alerts, expressions_of, selectors_of
from fakes.waiting import eventually
from observability.dashboards import FOLDER
from paddock.client.callers import Script, Tally, play_all
from paddock.client.client import AsyncClient
from paddock.errors import ApiError

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("prometheus_tools")]

CALLERS = 7
SLOTS = 6


def asked_of_a_pool() -> set[str]:
    """All queries but the operator's own; of alerts, the series that they look at."""
    asked = {
        query
        for name in ("pool", "fleet", "orchestrator")
        for query in expressions_of(json.loads((FOLDER / f"{name}.json").read_text()))
    }
    looked_at = {one for rule in alerts().values() for one in selectors_of(rule["expr"])}
    return asked | {one for one in looked_at if not one.startswith("paddock_operator_")}


@contextlib.asynccontextmanager
async def scraped(pool: LocalPool, folder: Path) -> AsyncIterator[Prometheus]:
    """The pool, up, with a runner that shows its metrics, and Prometheus looking at all of it."""
    runner_port = free_port()
    pool.env["PADDOCK_METRICS_PORT"] = str(runner_port)
    pool.write(most=SLOTS // 2)
    pool.up("--metrics-port", "0")
    await asyncio.to_thread(wait_for, "a serving runner", pool.serving)
    found = re.search(r"metrics  url=http://127.0.0.1:(\d+)/metrics", pool.log)
    assert found is not None, pool.log
    targets = {
        "pool": int(found[1]),
        "orchestrator": httpx.URL(pool.context.url).port or 0,
        "runner": runner_port,
    }
    # As docs/operations.md has it for one machine.
    prometheus = Prometheus(folder, targets, {"runner": {"namespace": "local", "pool": "pool"}})
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            for port in targets.values():
                lint(await eventually(functools.partial(page, http, port), what=f"port {port}"))
        await prometheus.start()
        yield prometheus
    finally:
        prometheus.kill()


async def page(http: httpx.AsyncClient, port: int) -> str:
    """The metrics that are shown there; a runner serves before it shows its own."""
    try:
        return (await http.get(f"http://127.0.0.1:{port}/metrics")).text
    except httpx.TransportError:
        return ""


async def refused(pool: LocalPool, key: str) -> None:
    async with AsyncClient(key, pool.context.url) as client:
        with contextlib.suppress(ApiError):
            await client.start("pool", {})
            raise AssertionError("it was not refused")


def full_runners(pool: LocalPool) -> list[dict[str, Any]]:
    """All of them, once as many as there may be have every slot taken."""
    full = [runner for runner in pool.serving() if runner["sessions"] == 2]
    return full if len(full) == SLOTS // 2 else []


async def play(pool: LocalPool, script: Script, tally: Tally) -> None:
    """All callers at once: one runner has no slot for most, who wait for the next to start."""
    async with AsyncClient(pool.context.private_key, pool.context.url, timeout_s=70) as client:
        await play_all(client, "pool", [0.0] * CALLERS, script, tally)


async def calls_while_everything_happens(pool: LocalPool) -> Tally:
    """More callers than slots, a killed runner, a roll-out under way."""
    tally = Tally()
    script = Script(lines=("Hello!", "And?", "Bye then."), hold_s=40, answer_timeout_s=60)
    calling = asyncio.create_task(play(pool, script, tally))
    full = await asyncio.to_thread(wait_for, "a full pool", lambda: full_runners(pool))
    await refused(pool, pool.context.public_key)
    await refused(pool, "pk_nobody")
    os.kill(full[-1]["pid"], signal.SIGKILL)
    await asyncio.to_thread(pool.write, most=SLOTS // 2, mark="2")
    await calling
    return tally


async def test_every_query_of_the_dashboards_and_alerts_has_data(
    pool: LocalPool, tmp_path: Path
) -> None:
    async with scraped(pool, tmp_path) as prometheus:
        unanswered = Unanswered(prometheus, asked_of_a_pool(), namespace="local", pool="pool")
        tally = await calls_while_everything_happens(pool)
        assert tally.lost, tally.summary()

        async def fires() -> bool:
            return {"PaddockCallsLost", "PaddockRunnerLost"} <= await prometheus.firing()

        await eventually(fires, within_s=60, what="alerts about the lost calls")
        await unanswered.none_left(within_s=120)
        assert "metrics_not_shown" in "".join(
            path.read_text() for path in (pool.folder / "state" / "pool" / "logs").glob("pool-*")
        )
