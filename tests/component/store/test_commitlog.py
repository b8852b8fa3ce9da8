"""The commit log: what is left of it after a death is replayed, exactly once."""

from pathlib import Path

import pytest

from component.store.rows import ended, event, session
from paddock_orchestrator.store import statements
from paddock_orchestrator.store.sqlite.commitlog import CommitLog, entries, segments
from paddock_orchestrator.store.sqlite.location import database_path
from paddock_orchestrator.store.sqlite.replay import replay
from paddock_orchestrator.store.store import Store


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state/records.db"


async def made(url: str) -> Path:
    """A database with nothing in it, closed."""
    store = await Store.open(url)
    await store.close()
    return database_path(url)


def left_behind(path: Path, first: int, *, count: int = 3) -> None:
    """A log of one event an entry, as a process that was killed leaves it."""
    log = CommitLog(path, statements.HOT, first)
    for number in range(first, first + count):
        assert log.append(statements.appended([event(number)])) == number
    log.close()


async def test_what_is_left_is_replayed_at_the_next_start(url: str) -> None:
    path = await made(url)
    log = CommitLog(path, statements.HOT, 1)
    row = session("s1")
    log.append(statements.put(row, [event(1, "s1")]))
    log.append(statements.changed(ended(row, 9), [event(2, "s1")]))
    log.close()
    store = await Store.open(url)
    kept = await store.session("acme", "s1")
    assert kept is not None
    assert kept.torn_down_ms == 9
    assert len(await store.events_of("acme", "s1")) == 2
    await store.close()
    assert segments(path) == []


async def test_what_the_database_has_is_not_replayed(url: str) -> None:
    path = await made(url)
    left_behind(path, 1)
    saved = segments(path)[0].read_bytes()
    assert replay(path, busy_timeout_s=1) == 4
    (path.parent / f"{path.name}-log-{1:020d}").write_bytes(saved)
    # A second time each of its events would violate the primary key, and be reported.
    assert replay(path, busy_timeout_s=1) == 4
    store = await Store.open(url)
    assert [e.event_id for e in await store.events_after("acme", 0, 10)] == [1, 2, 3]
    await store.close()


@pytest.mark.parametrize("cut", [1, 7, 9, 30])
async def test_an_entry_that_was_being_written_is_left_out(url: str, cut: int) -> None:
    path = await made(url)
    left_behind(path, 1)
    segment = segments(path)[0]
    segment.write_bytes(segment.read_bytes()[:-cut])
    assert [number for number, _ in entries(segment)] == [1, 2]
    assert replay(path, busy_timeout_s=1) == 3


async def test_a_broken_entry_ends_its_segment(url: str) -> None:
    path = await made(url)
    left_behind(path, 1)
    segment = segments(path)[0]
    data = bytearray(segment.read_bytes())
    data[-5] ^= 1
    segment.write_bytes(data)
    assert [number for number, _ in entries(segment)] == [1, 2]


async def test_a_large_segment_is_followed_and_forgotten(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await made(url)
    monkeypatch.setattr("paddock_orchestrator.store.sqlite.commitlog.SEGMENT_BYTES", 2000)
    log = CommitLog(path, statements.HOT, 1)
    for number in range(1, 41):
        log.append(statements.appended([event(number)]))
    names = segments(path)
    assert len(names) > 2
    assert [n for name in names for n, _ in entries(name)] == list(range(1, 41))
    log.forget(20)
    assert next(entries(segments(path)[0]))[0] <= 21
    log.close()
    log.forget(40)
    assert segments(path) == []


async def test_a_log_without_its_database_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    left_behind(path, 1)
    store = await Store.open(f"sqlite:///{path}")
    assert await store.last_event_id() == 0
    await store.close()


async def test_the_log_of_a_killed_process_is_numbered_on(url: str) -> None:
    path = await made(url)
    left_behind(path, 1)
    store = await Store.open(url)
    store.append_soon([event(9)])
    await store.close()
    left_behind(path, 5, count=1)
    assert replay(path, busy_timeout_s=1) == 6
