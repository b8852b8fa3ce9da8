"""The store's writer beside the same rows written inline, a transaction each (`bench_store.py`)."""

import asyncio

from bench import bench_store
from bench.rows import Row


def bench(*, quick: bool) -> list[Row]:
    """Rows per second of each kind of record; reported, without a target of their own."""
    figures = asyncio.run(bench_store.run(10_000 if quick else 100_000, 64))
    return [
        Row(
            f"store, {figure.case}",
            figure.rows_per_s,
            "rows/s",
            figure.rows_per_s / figure.speed_to_inline,
            figure.speed_to_inline,
            note=f"{figure.cpu_us_per_row:g} us CPU a row, {figure.batch:g} in a commit",
        )
        for figure in figures
    ]
