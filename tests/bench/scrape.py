"""A scrape of an orchestrator with a thousand runners of a hundred agents.

Reference: the library alone, which writes the same samples again. Requests for the health page,
alone and while scrapes follow each other without a pause, tell what a scrape does to a start.
"""

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import quantiles

from prometheus_client import Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import ClientConnection, connect

from bench.harness import Server, start_orchestrator, state_folder
from bench.rows import Row, limited, median
from paddock.protocol import control, features
from paddock.protocol.codec import encode

AGENTS, RUNNERS = 100, 1000
LIMIT_MS, LIMIT_KB, MEANWHILE_MS = 50, 1000, 25


@dataclass(frozen=True)
class Read:
    """A page that was read, as a collector."""

    families: list[Metric]

    def collect(self) -> list[Metric]:
        return self.families


def bench(*, quick: bool) -> list[Row]:
    """The rows of this benchmark."""
    with state_folder() as folder:
        server = start_orchestrator(folder)
        try:
            return asyncio.run(_measured(server, 5 if quick else 40))
        finally:
            server.end()


async def _measured(server: Server, rounds: int) -> list[Row]:
    sockets = []
    try:
        for number in range(RUNNERS):
            socket = await _registered(server, number)
            sockets.append(socket)
        await asyncio.sleep(2.5)  # a sweep, a push of queues
        return await asyncio.to_thread(_rows, server, rounds)
    finally:
        for socket in sockets:
            await socket.close()


async def _registered(server: Server, number: int) -> ClientConnection:
    agent = f"agent-{number % AGENTS}"
    frame = control.Register(
        worker_id=f"{agent}-6046631a-{number:06x}",
        pool=agent,
        capabilities=control.Capabilities(
            max_concurrent=10, agent_id=agent, transport=control.DIAL_OUT,
            features=list(features.ALL), instance=f"{number:016x}",
        ),
        sessions=[],
    )  # fmt: skip
    socket = await connect(
        f"ws://127.0.0.1:{server.port}{control.PATH}",
        additional_headers={"Authorization": f"Bearer {server.keys['runner_key']}"},
        proxy=None,
    )
    await socket.send(encode(frame))
    return socket


def _rows(server: Server, rounds: int) -> list[Row]:
    connected = json.loads(server.get("/v1/internal/stats").splitlines()[0])["runners"]
    assert len(connected) == RUNNERS, len(connected)
    page = server.get("/metrics")
    read = Read(list(text_string_to_metric_families(page)))
    packed = server.scrape()
    scrapes, alone = [], []
    for _ in range(rounds):
        scrapes.append(_took_ms(server.scrape))
        alone.append(_took_ms(lambda: generate_latest(read)))
    health, meanwhile = _health_ms(server, rounds), _meanwhile_ms(server, rounds)
    about = f"{RUNNERS:,} runners, {AGENTS} agents"
    return [
        limited(
            "scrape, p50", median(scrapes), "ms", LIMIT_MS, reference=median(alone), note=about
        ),
        limited("scrape, longest", max(scrapes), "ms", LIMIT_MS, reference=max(alone)),
        limited(
            "its page",
            len(page.encode()) / 1000,
            "kB",
            LIMIT_KB,
            note=f"{len(packed) / 1000:.0f} kB in gzip, as it is sent",
        ),
        limited(
            "a request meanwhile, p50",
            median(meanwhile),
            "ms",
            MEANWHILE_MS,
            reference=median(health),
            note="reference: at rest",
        ),
        limited(
            "a request meanwhile, p95", _p95(meanwhile), "ms", LIMIT_MS, reference=_p95(health)
        ),
    ]


def _health_ms(server: Server, rounds: int) -> list[float]:
    return [_took_ms(lambda: server.get("/healthz")) for _ in range(rounds)]


def _meanwhile_ms(server: Server, rounds: int) -> list[float]:
    """Of health pages, while there is always a scrape under way."""
    times: list[float] = []
    with ThreadPoolExecutor(1) as beside:
        scraping = beside.submit(lambda: [server.scrape() for _ in range(rounds)])
        while not scraping.done():
            times += _health_ms(server, 1)
    return times


def _p95(times: list[float]) -> float:
    return quantiles(times, n=20)[-1]


def _took_ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000
