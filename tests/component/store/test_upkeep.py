"""Keys, settings, usage and pruning."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from component.store.rows import append, change, ended, event, put, session
from paddock_orchestrator.store.errors import AlreadyExists
from paddock_orchestrator.store.pruning import prune
from paddock_orchestrator.store.records import Key, Organization, Pruned, Scope, Usage
from paddock_orchestrator.store.store import Store

_KEY = Key("k1", "acme", "CI", Scope.PRIVATE, b"d1", 1, agents=("a", "b"))


async def test_organizations(store: Store) -> None:
    acme = Organization("acme", "Acme", 5)
    await store.create_organization(acme)
    with pytest.raises(AlreadyExists):
        await store.create_organization(acme)
    assert [acme] == await store.organizations()


async def test_keys_are_read_as_they_were_put(store: Store) -> None:
    other = Key("k2", "other", "web", Scope.PUBLIC, b"d2", 2, shown="pk_x", expires_ms=9)
    await store.put_key(other)
    await store.put_key(_KEY)
    assert [_KEY, other] == await store.keys()
    assert [other] == await store.keys("other")
    renamed = replace(_KEY, name="deploy")
    await store.put_key(renamed)
    assert [renamed] == await store.keys("acme")
    with pytest.raises(AlreadyExists):
        await store.put_key(replace(_KEY, key_id="k3"))


async def test_a_key_is_revoked_once_and_by_its_organization(store: Store) -> None:
    await store.put_key(_KEY)
    assert not await store.revoke("other", "k1", 50)
    assert await store.revoke("acme", "k1", 50)
    assert not await store.revoke("acme", "k1", 60)
    assert [key.revoked_ms for key in await store.keys()] == [50]


async def test_settings(store: Store) -> None:
    assert await store.setting("secret") is None
    await store.put_setting("secret", b"\0a")
    await store.put_setting("secret", b"\0b")
    assert await store.setting("secret") == b"\0b"


async def test_usage_is_by_agent_and_phase(store: Store) -> None:
    await put(
        store,
        session(
            "s1", requested_ms=0, assigned_ms=10, started_ms=30, ended_ms=100, torn_down_ms=105
        ),
    )
    await put(store, session("s2", requested_ms=5, assigned_ms=20, started_ms=21))
    never_ran = session("s3", agent="sales", requested_ms=50, assigned_ms=60)
    await put(store, replace(never_ran, ended_ms=70, torn_down_ms=70))
    queued = session("s4", agent="sales", requested_ms=50, assigned_ms=None)
    await put(store, replace(queued, ended_ms=90, torn_down_ms=95))
    assert [
        Usage("billing", 2, 20 + 1, 70 + 179, 5),
        Usage("sales", 2, 10, 0, 0),
    ] == await store.usage("acme", since_ms=0, until_ms=200)
    assert [Usage("billing", 0, 0, 50 + 50, 0)] == await store.usage(
        "acme", agent="billing", since_ms=50, until_ms=100
    )


@settings(max_examples=5, deadline=None)
@given(cuts=st.lists(st.integers(0, 120), max_size=5))
async def test_usage_of_adjacent_windows_adds_up(
    new_url: Callable[[], str], cuts: list[int]
) -> None:
    store = await Store.open(new_url())
    for n in range(6):
        times = [7 * n, 8 * n, 9 * n + 3, 15 * n + 3, 16 * n + 3]
        names = ["requested_ms", "assigned_ms", "started_ms", "ended_ms", "torn_down_ms"]
        await put(store, session(f"s{n}", **dict(zip(names, times, strict=True))))
    edges = [0, *sorted(cuts), 120]
    parts = [
        part
        for since, until in pairwise(edges)
        for part in await store.usage("acme", since_ms=since, until_ms=until)
    ]
    [whole] = await store.usage("acme", since_ms=0, until_ms=120)
    await store.close()
    assert whole == Usage(
        "billing",
        sum(part.sessions for part in parts),
        sum(part.instantiating_ms for part in parts),
        sum(part.running_ms for part in parts),
        sum(part.tearing_down_ms for part in parts),
    )


async def test_pruning_removes_the_old_and_keeps_whole_histories(store: Store) -> None:
    for n in range(10):
        row = session(f"s{n}", requested_ms=n)
        await put(store, row, [event(10 * n + 1, f"s{n}", at_ms=n)])
        if n != 3:
            await change(store, ended(row, n + 1), [event(10 * n + 2, f"s{n}", at_ms=n + 1)])
    await append(store, [event(900, at_ms=4), event(901, at_ms=5), event(902, "gone", at_ms=1)])
    assert await prune(store.reader, store.writer, 5, step=2) == Pruned(3, 3 * 2 + 2)
    left = {row.session_id for row in await store.list_sessions("acme")}
    assert {"s3", *(f"s{n}" for n in range(4, 10))} == left
    assert len(await store.events_of("acme", "s3")) == 1
    assert len(await store.events_of("acme", "s4")) == 2
    assert {901} == {r.event_id for r in await store.events_after("acme", 899, 10)}
    assert Pruned(0, 0) == await store.prune(5)


async def test_pruning_lets_starts_through(store: Store) -> None:
    for n in range(400):
        put(store, session(f"s{n:03}", ended_ms=1, torn_down_ms=1))
    await append(store, [event(1, at_ms=100)])
    await store.writer.settled()
    before = store.health().commits
    pruning = asyncio.create_task(prune(store.reader, store.writer, 50, step=20))
    kept, number = asyncio.Event(), 2
    while not pruning.done():
        store.start_session(session(f"new{number}"), kept.set, lambda _: None)
        await asyncio.sleep(0.001)  # a thousand starts a second, at most
        number += 1
    assert Pruned(400, 0) == await pruning
    assert store.health().commits - before >= 20
    assert number > 3
    assert kept.is_set()
