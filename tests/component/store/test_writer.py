"""Group commit: order, neighbours, and what the environment does to it."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from component.store.rows import ended, event, session
from paddock_orchestrator.store.errors import (
    AlreadyExists,
    RecordRejected,
    StoreClosed,
    StoreUnavailable,
)
from paddock_orchestrator.store.store import Store


@contextlib.contextmanager
def locked(store: Store) -> Iterator[None]:
    """Another process's exclusive transaction."""
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


async def set_max_pages(store: Store, pages: int) -> None:
    await store.writer.run(lambda c: c.execute(f"PRAGMA max_page_count={pages}").fetchall())


async def healthy(store: Store) -> None:
    """Return once the writer says that it is well, with nothing submitted meanwhile."""
    while not store.health().ok:  # noqa: ASYNC110  # health is a reading, it wakes nobody
        await asyncio.sleep(0.02)


async def settle(*futures: asyncio.Future[Any]) -> list[Any]:
    return await asyncio.gather(*futures, return_exceptions=True)


async def test_what_is_queued_together_is_committed_together(store: Store) -> None:
    before = store.health()
    await settle(*(store.append_events([event(n)]) for n in range(1, 201)))
    after = store.health()
    assert after.submissions - before.submissions == 200
    # The first may go alone, while the rest is being queued.
    assert after.commits - before.commits < 20
    assert len(await store.events_after("acme", 0, 1000)) == 200


async def test_order_is_kept(store: Store) -> None:
    row = session("s1", requested_ms=1)
    order: list[int] = []
    futures = [store.record_started(row, on_commit=lambda: order.append(0))]
    for n in range(1, 50):
        change = ended(row, n)
        futures.append(
            store.record_changed(change, [event(n)], on_commit=lambda n=n: order.append(n))  # type: ignore[misc]
        )
    await settle(*futures)
    assert list(range(50)) == order
    kept = await store.session("acme", "s1")
    assert kept is not None
    assert kept.torn_down_ms == 49


async def test_on_commit_comes_before_the_future_and_never_without_the_row(store: Store) -> None:
    seen: list[str] = []
    good = store.append_events([event(1)], on_commit=lambda: seen.append("published"))
    good.add_done_callback(lambda _: seen.append("resolved"))
    bad = store.append_events([event(1)], on_commit=lambda: seen.append("never"))
    await settle(good, bad)
    assert seen == ["published", "resolved"]
    assert isinstance(bad.exception(), AlreadyExists)


async def test_a_raising_on_commit_stops_nobody(store: Store) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    first = store.append_events([event(1)], on_commit=lambda: [][1])
    second = store.append_events([event(2)])
    assert await settle(first, second) == [None, None]
    assert [IndexError] == [type(context["exception"]) for context in reported]


async def test_a_bad_row_does_not_fail_its_neighbours(store: Store) -> None:
    bad_rows = {
        10: event(10, at_ms=2**70),
        20: event(20, agent="\ud800"),
        30: event(30, kind=None),
        40: event(1),
        50: event(50, data={}),
    }
    futures = {n: store.append_events([bad_rows.get(n, event(n))]) for n in range(1, 101)}
    await settle(*futures.values())
    assert set(bad_rows) == {n for n, future in futures.items() if future.exception()}
    assert all(isinstance(futures[n].exception(), RecordRejected) for n in bad_rows)
    assert len(await store.events_after("acme", 0, 1000)) == 95
    assert store.health().ok


async def test_a_submission_is_kept_whole_or_not_at_all(store: Store) -> None:
    await store.append_events([event(1)])
    with pytest.raises(AlreadyExists):
        await store.record_started(session("s1"), [event(2), event(1)])
    assert await store.session("acme", "s1") is None
    assert [row.event_id for row in await store.events_after("acme", 0, 10)] == [1]


async def test_a_tasks_result_survives_a_bad_neighbour(store: Store) -> None:
    await store.append_events([event(1)])
    bad = store.append_events([event(1)])
    count = store.writer.run(lambda c: c.execute("SELECT count(*) FROM events").fetchone()[0])
    results = await settle(bad, count)
    assert isinstance(results[0], AlreadyExists)
    assert results[1] == 1


async def test_a_locked_database_is_unavailable_in_time_and_recovers(store: Store) -> None:
    loop = asyncio.get_running_loop()
    with locked(store):
        began = loop.time()
        with pytest.raises(StoreUnavailable, match="locked"):
            await store.append_events([event(1)])
        assert 0.15 < loop.time() - began < 2.0
        assert not store.health().ok
        assert "locked" in store.health().failure
    await store.append_events([event(1)])
    assert store.health().ok


async def test_a_short_lock_is_waited_out(url: str) -> None:
    store = await Store.open(url, busy_timeout_s=10)
    with locked(store):
        future = store.append_events([event(1)])
        await store.last_event_id()
        assert not future.done()
    await future
    await store.close()


async def test_health_recovers_without_a_submission(store: Store) -> None:
    with locked(store), pytest.raises(StoreUnavailable):
        await store.append_events([event(1)])
    await asyncio.wait_for(healthy(store), 5)


async def test_a_full_disk_is_unavailable_and_recovers(store: Store) -> None:
    await set_max_pages(store, 1)  # as low as the pages that are in use
    filler = b"x" * 100_000
    with pytest.raises(StoreUnavailable, match="full") as caught:
        await store.append_events([event(1, data=filler)])
    assert "free space" in caught.value.fix
    assert not store.health().ok
    await set_max_pages(store, 1_000_000)
    await store.append_events([event(1, data=filler)])
    assert store.health().ok
    assert await store.last_event_id() == 1


async def test_an_io_failure_opens_the_file_anew(store: Store) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connections.append(connection)
        raise OSError("input/output error")

    connections: list[sqlite3.Connection] = []
    with pytest.raises(StoreUnavailable, match="input/output"):
        await store.writer.run(fail)
    await store.writer.run(connections.append)
    assert connections[0] is not connections[1]
    assert store.health().ok


async def test_a_full_queue_refuses_at_once(url: str) -> None:
    store = await Store.open(url, max_queue=8, busy_timeout_s=10)
    with locked(store):
        futures = [store.append_events([event(n)]) for n in range(1, 30)]
        refused = [future for future in futures if future.done()]
        # One may be in the writer's hands already.
        assert len(refused) >= 20
        assert all(isinstance(future.exception(), StoreUnavailable) for future in refused)
    await settle(*futures)
    assert 29 - len(refused) == len(await store.events_after("acme", 0, 100))
    await store.close()


async def test_cancelling_the_caller_does_not_lose_the_row(store: Store) -> None:
    published: list[bool] = []

    async def caller() -> None:
        await store.append_events([event(1)], on_commit=lambda: published.append(True))

    task = asyncio.create_task(caller())
    await asyncio.sleep(0)
    task.cancel()
    await settle(task)
    assert task.cancelled()
    await store.append_events([event(2)])
    assert published == [True]
    assert [row.event_id for row in await store.events_after("acme", 0, 10)] == [1, 2]


async def test_closing_commits_what_is_queued(url: str) -> None:
    store = await Store.open(url)
    futures = [store.append_events([event(n)]) for n in range(1, 2001)]
    await store.close()
    assert all(future.done() and future.exception() is None for future in futures)
    with pytest.raises(StoreClosed):
        await store.append_events([event(3000)])
    with pytest.raises(StoreClosed):
        await store.last_event_id()
    await store.close()
    again = await Store.open(url)
    assert await again.last_event_id() == 2000
    await again.close()
