"""What the writer costs: rows per second and CPU, against the same inserts without a thread.

Run it by hand: `python tests/bench/bench_store.py [--rows N] [--callers N] [--uvloop]`. The first
line is JSON, the rest a table. Figures move with the machine; the ratio hardly does.
"""

import argparse
import asyncio
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

from paddock_orchestrator.store import statements
from paddock_orchestrator.store.records import EventRow, SessionChange, SessionRow
from paddock_orchestrator.store.store import Store
from paddock_orchestrator.store.writer import Row

_CALL = b'{"direction":"inbound","user_number":"+100000000","instructions":null}'
_DATA = b'{"customer":"c-1","locale":"de","topic":"renewal"}'


@dataclass(frozen=True, slots=True)
class Figure:
    case: str
    submissions: int
    rows: int
    rows_per_s: float
    cpu_us_per_row: float
    cpu_us_per_submission: float
    batch: float
    """Submissions in one transaction, on average."""
    speed_to_inline: float
    """Rows per second as a multiple of the inline case's."""


def event(number: int, session_id: str) -> EventRow:
    return EventRow(number, "acme", number, "session.started", "billing", session_id, _DATA)


def session(number: int, *, ordered: bool = True) -> SessionRow:
    """A session whose id grows with time, like a version 7 UUID, or has no order, like 4."""
    scattered = number * 2654435761 % 2**32
    head, tail = (number, scattered) if ordered else (scattered, number)
    return SessionRow(
        session_id=f"{head:08x}-0000-7000-8000-{tail:012x}",
        org_id="acme",
        agent="billing",
        state="active",
        attempt=1,
        runner_id="runner-1",
        instance="4f1d",
        requested_ms=number,
        max_duration_s=3600.0,
        call=_CALL,
        data=_DATA,
        assigned_ms=number,
        started_ms=number,
    )


def ended(row: SessionRow) -> SessionChange:
    at = row.requested_ms + 1
    return SessionChange(
        session_id=row.session_id,
        state="ended",
        attempt=1,
        runner_id=row.runner_id,
        instance=row.instance,
        assigned_ms=at,
        started_ms=at,
        ended_ms=at,
        torn_down_ms=at,
        end_reason="completed",
    )


async def measure(
    case: str,
    total: int,
    callers: int,
    rows_each: int,
    one: Callable[[Store, int], Coroutine[None, None, None]],
    inline: Callable[[int], list[Row]],
) -> Figure:
    """Run `one` by `callers` coroutines, `total` times in all, and `inline` as many times."""
    with tempfile.TemporaryDirectory(prefix="bench-store-") as folder:
        inline_rate = await asyncio.to_thread(_inline, Path(folder) / "inline.db", total, inline)
        store = await Store.open(f"sqlite:///{folder}/records.db")
        numbers = iter(range(1, total + 1))

        async def caller() -> None:
            for number in numbers:
                await one(store, number)

        before = store.health()
        wall, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(caller() for _ in range(callers)))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        after = store.health()
        await store.close()
    submissions = after.submissions - before.submissions
    rows = total * rows_each
    return Figure(
        case=case,
        submissions=submissions,
        rows=rows,
        rows_per_s=round(rows / wall),
        cpu_us_per_row=round(cpu / rows * 1e6, 1),
        cpu_us_per_submission=round(cpu / submissions * 1e6, 1),
        batch=round(submissions / (after.commits - before.commits), 1),
        speed_to_inline=round(rows / wall / (inline_rate * rows_each), 2),
    )


def _inline(path: Path, total: int, rows_of: Callable[[int], list[Row]]) -> float:
    """Units per second when each is its own transaction, in the caller's thread."""
    from paddock_orchestrator.store.migrations import migrate

    migrate(f"sqlite:///{path}")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    began = time.perf_counter()
    for number in range(1, total + 1):
        connection.execute("BEGIN IMMEDIATE")
        for sql, values in rows_of(number):
            connection.execute(sql, values)
        connection.execute("COMMIT")
    rate = total / (time.perf_counter() - began)
    connection.close()
    return rate


async def run(total: int, callers: int) -> list[Figure]:
    ids = count(1)

    async def append(store: Store, number: int) -> None:
        await store.append_events([event(number, "s")])

    async def start(store: Store, number: int) -> None:
        await store.record_started(session(number))

    async def start_unordered(store: Store, number: int) -> None:
        await store.record_started(session(number, ordered=False))

    async def live(store: Store, number: int) -> None:
        row = session(number)
        await store.record_started(row, [event(next(ids), row.session_id)])
        await store.record_changed(ended(row), [event(next(ids), row.session_id)])

    def live_inline(number: int) -> list[Row]:
        row = session(number)
        first = statements.started(row, [event(2 * number, row.session_id)])
        return first + statements.changed(ended(row), [event(2 * number + 1, row.session_id)])

    return [
        await measure(
            "events", total, callers, 1, append, lambda n: statements.appended([event(n, "s")])
        ),
        await measure(
            "starts", total, callers, 1, start, lambda n: statements.started(session(n), ())
        ),
        await measure(
            "starts, unordered ids",
            total,
            callers,
            1,
            start_unordered,
            lambda n: statements.started(session(n, ordered=False), ()),
        ),
        await measure("whole sessions", total // 4, callers, 4, live, live_inline),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--uvloop", action="store_true")
    options = parser.parse_args()
    work = run(options.rows, options.callers)
    if options.uvloop:
        import uvloop

        figures = uvloop.run(work)
    else:
        figures = asyncio.run(work)
    print(json.dumps([asdict(figure) for figure in figures]))
    heads = list(asdict(figures[0]))
    print(" ".join(f"{head:>22}" for head in heads))
    for figure in figures:
        print(" ".join(f"{value:>22}" for value in asdict(figure).values()))


if __name__ == "__main__":
    main()
