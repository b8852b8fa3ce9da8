"""From none to a thousand runners, and a thousand drains begun and called off.

Replicas are raised from 0 until every pod is Ready. Reference: the raw client creates as many such
pods, 16 at a time, bound and made Ready by the same stub; in turns, each with pods of its own.

Then, every runner holding one session of two, replicas are lowered to 0 until every pod is told to
drain, and raised until every pod is told to serve, again and again. Reference, right before each:
the raw client patches an annotation of as many pods of its own by compare-and-swap, 16 at a time.

At last fewer come and go without an un-drain, for what a runner's life costs in writes.
"""

import asyncio
import time
from collections import Counter
from functools import partial

from bench.cluster.world import BenchWorld, bench_world, mode_of
from bench.rows import Row, compare, limited

Pairs = list[tuple[float, float]]
"""Seconds of ours, and of the reference."""


def bench(*, quick: bool) -> list[Row]:
    """The rows of this benchmark."""
    return asyncio.run(_bench(100, 1, 1) if quick else _bench(1000, 2, 5))


async def _bench(count: int, rounds: int, turns: int) -> list[Row]:
    async with bench_world() as world:
        await world.pool("crowd", most=count, slots=2, replicas=1)
        await world.has("crowd-", 1)
        body = world.like("crowd-")
        await world.resize("crowd", 0)
        await world.has("crowd-", 0)
        ready: Pairs = []
        for n in range(rounds):
            names = [f"raw{n}-{m}" for m in range(count)]
            raw_s = await _raw_ready(world, names, body)
            await world.raw.do("delete", path=world.pods_path, names=names)
            await world.has("raw", 0)
            began = await world.resize("crowd", count)
            ready.append((await world.has("crowd-", count) - began, raw_s))
            await _served(world, count)
            await world.resize("crowd", 0)
            await world.has("crowd-", 0)
        drained, back = await _turns(world, count, turns, body)
        life = await _life(world, count // 5)
    return [
        _row(f"0 to {count} pods Ready", ready),
        _row(f"drain of {count}", drained, None),
        _row(f"un-drain of {count}", back),
        life,
    ]


def _row(figure: str, pairs: Pairs, at_most: float | None = 1.5) -> Row:
    ours, raw = map(list, zip(*pairs, strict=True))
    spread = ", ".join(f"{ratio:.1f}" for ratio in sorted(o / r for o, r in pairs))
    return compare(figure, "s", ours, raw, at_most=at_most, note=f"ratios {spread}")


async def _raw_ready(world: BenchWorld, names: list[str], body: dict[str, object]) -> float:
    answer = await world.raw.do("create", path=world.pods_path, names=names, body=body)
    return await world.has("raw", len(names)) - float(answer["began"])


async def _turns(
    world: BenchWorld, count: int, turns: int, body: dict[str, object]
) -> tuple[Pairs, Pairs]:
    """Drains and un-drains, each beside as many patches of the raw client."""
    names = [f"raw-{n}" for n in range(count)]
    await _raw_ready(world, names, body)
    await world.resize("crowd", count)
    await world.has("crowd-", count)
    await _served(world, count)
    for name in list(world.told.runners):
        world.told.hold(name, 1)
    await world.told.tell()
    drained: Pairs = []
    back: Pairs = []
    for n in range(turns):
        for mode, replicas, pairs in (("drain", 0, drained), ("serve", count, back)):
            answer = await world.raw.do(
                "patch", path=world.pods_path, names=names, annotations={"bench": f"{mode}{n}"}
            )
            began = await world.resize("crowd", replicas)
            ended = await world.seen.until(mode, partial(_all_in, world, mode, count))
            pairs.append((ended - began, answer["ended"] - answer["began"]))
            await world.seen.until("reports", partial(_all_reported, world, mode))
    for name in list(world.told.runners):
        world.told.hold(name, 0)
    await world.raw.do("delete", path=world.pods_path, names=names)
    await world.resize("crowd", 0)
    await world.has("raw", 0)
    await world.has("crowd-", 0)
    return drained, back


def _all_in(world: BenchWorld, mode: str, count: int) -> bool:
    return sum(mode_of(pod) == mode for pod in world.seen.named("crowd-")) == count


def _all_reported(world: BenchWorld, mode: str) -> bool:
    reports = [row["report"] for row in world.told.runners.values()]
    return all(report is not None and report[1] == mode for report in reports)


async def _served(world: BenchWorld, count: int) -> None:
    """The operator has heard of every runner."""

    def known() -> bool:
        return bool(world.told.declared["crowd"].get("status", {}).get("ready") == count)

    await world.seen.until("a serving pool", known)


async def _life(world: BenchWorld, count: int) -> Row:
    before = Counter(await world.operator.writes())
    await world.resize("crowd", count)
    await world.has("crowd-", count)
    await _served(world, count)
    await world.resize("crowd", 0)
    await world.has("crowd-", 0)
    await asyncio.to_thread(time.sleep, 2)
    spent = Counter(await world.operator.writes()) - before
    counted = sum(n for (_, what), n in spent.items() if what == "pods")
    told = ", ".join(f"{n} {verb} {what}" for (verb, what), n in sorted(spent.items()))
    return limited(
        "writes of the operator per runner's life", counted / count, "writes", 3.0,
        note=f"all: {told}",
    )  # fmt: skip
