"""An operator that starts again over thousands of pods.

It is killed with -9 while its pool is to shrink by a fifth and no runner answers a drain. Measured
from the start of the process, and from the moment it leads, until the first drain is stored: pods
listed, a snapshot applied, for without one nothing is drained, a plan computed. Reference: the raw
client lists the same pods; a loop with nothing to do, on the same machine. No pod may be deleted:
none reported.
"""

import asyncio
import time
from datetime import datetime

from bench.cluster.world import BenchWorld, bench_world, mode_of
from bench.harness import BenchError
from bench.rows import Row, limited

_WATCHED_S = 20.0


def bench(*, quick: bool) -> list[Row]:
    """The rows of this benchmark."""
    return asyncio.run(_bench(500 if quick else 5000, 1))


async def _bench(count: int, rounds: int) -> list[Row]:
    async with bench_world() as world:
        await world.pool("crowd", most=count, replicas=count)
        await world.has("crowd-", count)
        await _declared(world, count)
        rows: list[Row] = []
        found = [await _restart(world, count) for _ in range(rounds)]
    raw_s, led_s, begun_s, stall_ms, idle_ms, deleted = (
        sorted(each) for each in zip(*found, strict=True)
    )
    middle = rounds // 2
    rows.append(
        limited(
            f"restart over {count} pods, from leading to a plan", led_s[middle], "s", 3.0,
            reference=raw_s[middle], note=f"{begun_s[middle]:.1f} s from the process's start",
        )
    )  # fmt: skip
    rows.append(
        limited(
            "longest stall of its loop", stall_ms[middle], "ms", 100.0, reference=idle_ms[middle]
        )
    )
    rows.append(limited("pods deleted without a report", deleted[-1], "pods", 0.0))
    return rows


async def _restart(world: BenchWorld, count: int) -> tuple[float, ...]:
    world.operator.kill()
    await world.free_lease()
    answer = await world.raw.do("list", path=world.pods_path)
    raw_s = answer["ended"] - answer["began"]
    world.told.answers_drains = False
    world.seen.deletions.clear()
    world.seen.drains.clear()
    await world.resize("crowd", count * 4 // 5)
    before = len(world.operator.said("leadership_acquired"))
    await world.raw.do("lag")
    world.operator.start()
    began, wall = time.monotonic(), time.time()
    planned = await world.seen.until("a drain", lambda: bool(world.seen.drains))
    led_at = world.operator.said("leadership_acquired")[before]["at"]
    led_s = datetime.fromisoformat(led_at.replace("Z", "+00:00")).timestamp() - wall
    stall_ms = await _worst_stall_ms(world)
    idle_ms = (await world.raw.do("lag"))["worst"] * 1000
    deleted = float(len(world.seen.deletions))
    world.told.answers_drains = True
    await world.resize("crowd", count)
    await world.seen.until(
        "un-drains", lambda: not any(mode_of(p) == "drain" for p in world.seen.named("crowd-"))
    )
    await world.has("crowd-", count)
    return raw_s, planned - began - led_s, planned - began, stall_ms, idle_ms, deleted


async def _declared(world: BenchWorld, count: int) -> float:
    def shown() -> bool:
        status = world.told.declared.get("crowd", {}).get("status", {})
        return bool(status.get("fresh") and len(status["runners"]) == count)

    return await world.seen.until("a plan", shown)


async def _worst_stall_ms(world: BenchWorld) -> float:
    """The greatest lag of its event loop, while it lists and works off what it found."""
    await asyncio.sleep(_WATCHED_S)
    for line in (await world.operator.metrics()).splitlines():
        if line.startswith("paddock_operator_event_loop_lag_seconds "):
            return float(line.split()[1]) * 1000
    raise BenchError("the operator tells no event loop lag")
