"""What a thousand pools cost at which nothing happens.

Each has one runner and no call. Writes, CPU of the operator (all threads) and its resident memory
over a minute. Without a reference: the limits are absolute.
"""

import asyncio
import time

from bench.cluster.world import BenchWorld, bench_world
from bench.rows import Row, limited


def bench(*, quick: bool) -> list[Row]:
    """The rows of this benchmark."""
    return asyncio.run(_bench(50, 10.0) if quick else _bench(1000, 60.0))


async def _bench(count: int, seconds: float) -> list[Row]:
    async with bench_world() as world:
        await asyncio.gather(*(world.pool(f"idle-{n}", most=4) for n in range(count)))
        await world.has("idle-", count)
        await _quiet(world)
        before, cpu_s, began = await world.operator.writes(), world.operator.cpu_s(), time.time()
        declarations = world.told.declarations
        await asyncio.sleep(seconds)
        lasted_s = time.time() - began
        cpu = (world.operator.cpu_s() - cpu_s) / lasted_s * 100
        after = await world.operator.writes()
        rss_mb = world.operator.resident_kib() / 1024
        declared = (world.told.declarations - declarations) / lasted_s
    spent = {k: n - before.get(k, 0) for k, n in after.items() if n > before.get(k, 0)}
    writes = sum(n for (_, what), n in spent.items() if what != "leases")
    return [
        limited(f"{count} idle pools: writes in {seconds:g} s", writes, "writes", 0.0,
                note=f"with the lease's: {sum(spent.values())}"),
        limited(f"{count} idle pools: CPU", cpu, "% of a core", 5.0,
                note=f"{declared:.0f} declarations/s"),
        limited(f"{count} idle pools: resident memory", rss_mb, "MB", 200.0),
    ]  # fmt: skip


async def _quiet(world: BenchWorld) -> None:
    """Until a quarter of a minute passes without a write but the lease's."""
    while True:
        before = await world.operator.writes()
        await asyncio.sleep(15)
        after = await world.operator.writes()
        if all(n == before.get(k) for k, n in after.items() if k[1] != "leases"):
            return
