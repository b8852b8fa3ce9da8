"""From a start that waits to a pod that the API server has accepted.

A pool whose runners are all full; a statistics line says that one start waits; the clock runs from
there until a watch of the API server shows the new pod. Reference: the raw client creates one such
pod, seen by the same watch, in turns with it.
"""

import asyncio
import random
import time

from bench.cluster.world import BenchWorld, bench_world
from bench.rows import Row, compare
from paddock.client.callers import percentiles


def bench(*, quick: bool) -> list[Row]:
    """The rows of this benchmark."""
    return asyncio.run(_bench(10 if quick else 150))


async def _bench(times: int) -> list[Row]:
    async with bench_world() as world:
        world.player.held = 1
        await world.pool("desk", most=times + 10)
        await world.has("desk-", 1)
        await _all_busy(world)
        body = world.like("desk-")
        ours, raw = [], []
        for n in range(times):
            ours.append(await _reaction(world))
            await _all_busy(world)
            raw.append(await _single(world, f"raw-{n}", body))
            await asyncio.sleep(random.uniform(0.05, 0.25))
    mine, its = percentiles(ours), percentiles(raw)
    against_p50 = f"p99 is {mine['p99'] / its['p50']:.1f}x the p50 of a create"
    return [
        compare(
            "waiting start to pod accepted, p50", "ms", [mine["p50"]], [its["p50"]], at_most=3.0
        ),
        compare(
            "waiting start to pod accepted, p99", "ms", [mine["p99"]], [its["p99"]], at_most=5.0,
            note=against_p50,
        ),
    ]  # fmt: skip


async def _reaction(world: BenchWorld) -> float:
    before = set(world.seen.added)
    pool = world.told.pool("desk")
    pool["queued"], pool["arrivals"] = 1, pool["arrivals"] + 1
    world.told.changed("desk")
    began = time.monotonic()
    await world.told.tell()
    await world.seen.until("a pod", lambda: len(world.seen.added) > len(before), within_s=30)
    (name,) = set(world.seen.added) - before
    return (world.seen.added[name] - began) * 1000


async def _single(world: BenchWorld, name: str, body: dict[str, object]) -> float:
    answer = await world.raw.do("create", path=world.pods_path, names=[name], body=body)
    await world.seen.until("a raw pod", lambda: name in world.seen.added)
    return float(world.seen.added[name] - answer["began"]) * 1000


async def _all_busy(world: BenchWorld) -> None:
    """The start has its runner, nothing waits, and the operator has heard it."""
    seen, told = world.seen, world.told
    await seen.until("a ready pod", lambda: len(seen.named("desk-")) == seen.ready("desk-"))
    pool = told.pool("desk")
    pool["queued"], pool["in_flight"] = 0, len(told.runners)
    told.changed("desk")
    await told.tell()
    count = len(told.runners)

    def known() -> bool:
        declared = told.declared.get("desk", {})
        return declared.get("starting") == 0 and declared.get("status", {}).get("ready") == count

    await seen.until("a full pool", known, within_s=30)
