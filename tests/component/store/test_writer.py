"""What is kept: its order, its neighbours, and what the environment does to it."""

import asyncio
import functools
from typing import Any

import pytest

from component.store.rows import append, change, ended, event, put, session, settle
from paddock_orchestrator.store.errors import AlreadyExists, StoreClosed
from paddock_orchestrator.store.records import Key, Scope
from paddock_orchestrator.store.store import Store


async def test_what_is_kept_together_is_committed_together(store: Store) -> None:
    before = store.health()
    await settle(*(append(store, [event(n)]) for n in range(1, 201)))
    assert len(await store.events_after("acme", 0, 1000)) == 200
    after = store.health()
    assert after.submissions - before.submissions >= 200
    assert after.commits - before.commits < 20


async def test_order_is_kept(store: Store) -> None:
    row = session("s1", requested_ms=1)
    order: list[int] = []
    futures = [put(store, row, on_commit=lambda: order.append(0))]
    for n in range(1, 50):
        note = functools.partial(order.append, n)
        futures.append(change(store, ended(row, n), [event(n)], note))
    await settle(*futures)
    assert list(range(50)) == order
    kept = await store.session("acme", "s1")
    assert kept is not None
    assert kept.torn_down_ms == 49


async def test_a_session_offered_again_after_a_change_has_the_last_word(store: Store) -> None:
    row = session("s1", requested_ms=1)
    again = session("s1", requested_ms=1, attempt=2, runner_id="runner-2")
    put(store, row)
    change(store, ended(row, 7))
    await put(store, again)
    assert again == await store.session("acme", "s1")


async def test_many_rows_at_once_are_what_one_after_the_other_would_be(store: Store) -> None:
    rows = [session(f"s{n}", requested_ms=n, idempotency_key=f"k{n}") for n in range(150)]
    for n, row in enumerate(rows):
        put(store, row, [event(2 * n + 1, row.session_id)])
        change(store, ended(row, n), [event(2 * n + 2, row.session_id)])
    listed = await store.list_sessions("acme", limit=500)
    assert [r.session_id for r in rows] == [r.session_id for r in reversed(listed)]
    assert [r.torn_down_ms for r in reversed(listed)] == list(range(150))
    assert len(await store.events_after("acme", 0, 1000)) == 300


async def test_a_raising_callback_stops_nobody(store: Store) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    store.append_soon([event(1)], lambda: [][1])
    await append(store, [event(2)])
    assert [IndexError] == [type(context["exception"]) for context in reported]


async def test_a_bad_row_takes_no_neighbour_with_it(store: Store) -> None:
    bad_rows = {
        10: event(10, at_ms=2**63),
        30: event(30, kind=None),
        40: event(1),
    }
    for n in range(1, 101):
        append(store, [bad_rows.get(n, event(n))])
    assert len(await store.events_after("acme", 0, 1000)) == 97
    assert store.health().ok


async def test_a_tasks_failure_is_its_own(store: Store) -> None:
    key = Key("k1", "acme", "CI", Scope.PRIVATE, b"d1", 1)
    await store.put_key(key)
    append(store, [event(1)])
    bad = store.put_key(Key("k2", "acme", "CI", Scope.PRIVATE, b"d1", 1))
    revoked = store.revoke("acme", "k1", 5)
    results = await asyncio.gather(bad, revoked, return_exceptions=True)
    assert isinstance(results[0], AlreadyExists)
    assert results[1] is True
    assert await store.last_event_id() == 1


async def test_closing_keeps_all_that_was_accepted(url: str) -> None:
    store = await Store.open(url)
    futures = [append(store, [event(n)]) for n in range(1, 2001)]
    await store.close()
    assert all(future.done() and future.exception() is None for future in futures)
    with pytest.raises(StoreClosed):
        await append(store, [event(3000)])
    with pytest.raises(StoreClosed):
        await store.last_event_id()
    await store.close()
    again = await Store.open(url)
    assert await again.last_event_id() == 2000
    await again.close()
