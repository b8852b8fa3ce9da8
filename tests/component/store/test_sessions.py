"""Sessions and events: what is kept is what is read."""

import asyncio
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from component.store.rows import append, change, ended, event, put, session
from paddock_orchestrator.store.store import Store


async def test_a_session_is_read_as_it_was_written(store: Store) -> None:
    row = session("s1", idempotency_key="k", body_digest=b"\0\1", data=b'{"\xc3\xa4": "\\u0000"}')
    await put(store, row, [event(1, "s1"), event(2, "s1")])
    assert row == await store.session("acme", "s1")
    assert [event(1, "s1"), event(2, "s1")] == await store.events_of("acme", "s1")


async def test_a_session_offered_again_updates_its_row(store: Store) -> None:
    row = session("s1", idempotency_key="k")
    again = replace(row, attempt=2, runner_id="runner-2", assigned_ms=1500)
    await put(store, row)
    await put(store, again)
    assert [again] == await store.list_sessions("acme")


async def test_a_change_replaces_all_that_changes_and_nothing_else(store: Store) -> None:
    row = session("s1")
    await put(store, row)
    await change(store, ended(row, 5000), [event(1, "s1")])
    expected = replace(
        row,
        state="ended",
        ended_ms=5000,
        torn_down_ms=5000,
        end_reason="completed",
        end_detail="hangup",
    )
    assert expected == await store.session("acme", "s1")


async def test_another_organization_sees_nothing(store: Store) -> None:
    await put(store, session("s1", idempotency_key="k"), [event(1, "s1")])
    assert await store.session("other", "s1") is None
    assert await store.find_idempotent("other", "billing", "k") is None
    assert await store.events_of("other", "s1") == []
    assert await store.events_after("other", 0, 10) == []
    assert await store.list_sessions("other") == []
    assert await store.usage("other", since_ms=0, until_ms=10_000) == []


async def test_open_sessions_are_those_not_torn_down(store: Store) -> None:
    rows = [session(f"s{n}", requested_ms=10 - n, org_id=f"org{n}") for n in range(4)]
    for row in rows:
        await put(store, row)
    await change(store, replace(ended(rows[0], 50), torn_down_ms=None, state="ending"))
    await change(store, ended(rows[1], 50))
    assert [row.session_id for row in await store.open_sessions()] == ["s3", "s2", "s0"]


async def test_sessions_are_listed_by_state(store: Store) -> None:
    rows = [session(f"s{n}", requested_ms=n) for n in range(3)]
    for row in rows:
        await put(store, row)
    await change(store, ended(rows[0], 50))
    await put(store, replace(rows[1], state="assigned"))

    async def listed(state: str) -> list[str]:
        return [row.session_id for row in await store.list_sessions("acme", state=state)]

    assert await listed("open") == ["s2", "s1"]
    assert await listed("ended") == ["s0"]
    assert await listed("assigned") == ["s1"]


async def test_an_idempotency_key_is_one_sessions_of_its_agent(store: Store) -> None:
    first = session("s1", idempotency_key="k")
    await put(store, first)
    await put(store, session("s2", idempotency_key="k"))
    await put(store, session("s3", idempotency_key="k", agent="sales"))
    await put(store, session("s4", idempotency_key="k", org_id="other"))
    await put(store, session("s5"))
    await put(store, session("s6"))
    assert first == await store.find_idempotent("acme", "billing", "k")
    assert await store.session("acme", "s2") is None


async def test_two_starts_with_one_key_in_one_batch_keep_the_first(store: Store) -> None:
    for n in range(3):
        put(store, session(f"s{n}", idempotency_key="k"))
    assert [row.session_id for row in await store.list_sessions("acme")] == ["s0"]


async def test_an_expired_idempotency_key_is_free_again(store: Store) -> None:
    await put(store, session("s1", idempotency_key="k", requested_ms=10))
    await put(store, session("s2", idempotency_key="l", requested_ms=20))
    assert await store.expire_idempotency(20) == 1
    await put(store, session("s3", idempotency_key="k", requested_ms=30))
    assert await store.find_idempotent("acme", "billing", "l") is not None


async def test_events_are_read_on_from_an_id(store: Store) -> None:
    await append(store, [event(n, agent="sales" if n % 2 else "billing") for n in range(1, 9)])
    assert [row.event_id for row in await store.events_after("acme", 3, 3)] == [4, 5, 6]
    assert [row.event_id for row in await store.events_after("acme", 3, 9, agent="sales")] == [5, 7]
    assert await store.last_event_id() == 8


async def test_no_event_has_id_zero(store: Store) -> None:
    assert await store.last_event_id() == 0


_times = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["a", "b"])), max_size=25)


@settings(max_examples=15, deadline=None)
@given(times=_times, size=st.integers(1, 7), agent=st.sampled_from([None, "a"]))
async def test_pages_have_no_gaps_and_no_doubles(
    new_url: Callable[[], str], times: list[tuple[int, str]], size: int, agent: str | None
) -> None:
    rows = [session(f"s{n}", requested_ms=at, agent=of) for n, (at, of) in enumerate(times)]
    store = await Store.open(new_url())
    await asyncio.gather(*(put(store, row) for row in rows))
    seen: list[tuple[int, str]] = []
    while page := await store.list_sessions(
        "acme", agent=agent, limit=size, before=seen[-1] if seen else None
    ):
        assert len(page) <= size
        seen += [(row.requested_ms, row.session_id) for row in page]
        # A session that comes meanwhile is newer than every cursor.
        newer = session(f"late{len(seen)}", requested_ms=9, agent="a")
        await put(store, newer)
    await store.close()
    expected = [(r.requested_ms, r.session_id) for r in rows if agent in (None, r.agent)]
    assert sorted(expected, reverse=True) == seen
