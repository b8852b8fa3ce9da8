"""What only SQLite has: its files, its locks, its full disk."""

import asyncio
import contextlib
import errno
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from component.store.rows import append, event, session, settle
from fakes.waiting import PATIENCE_S
from paddock_orchestrator.store.errors import StoreMisconfigured, StoreUnavailable
from paddock_orchestrator.store.sqlite import writer
from paddock_orchestrator.store.sqlite.commitlog import segments
from paddock_orchestrator.store.sqlite.location import database_path
from paddock_orchestrator.store.store import Store


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state/records.db"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_files_and_new_directories_are_the_owners(tmp_path: Path) -> None:
    path = tmp_path / "one" / "two" / "records.db"
    store = await Store.open(f"sqlite:///{path}")
    await append(store, [event(1)])
    assert [mode(path.parent), mode(path.parent.parent)] == [0o700, 0o700]
    files = sorted(path.parent.iterdir())
    log = "records.db-log-00000000000000000001"
    kept = ["records.db", log, "records.db-shm", "records.db-wal"]
    assert kept == [file.name for file in files]
    assert {0o600} == {mode(file) for file in files}
    await store.close()
    assert [path] == list(path.parent.iterdir())


async def test_a_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreMisconfigured, match=r"file/records\.db"):
        await Store.open(f"sqlite:///{tmp_path}/file/records.db")


@contextlib.contextmanager
def locked(url: str) -> Iterator[None]:
    """Another process's exclusive transaction."""
    with contextlib.closing(sqlite3.connect(database_path(url), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


async def healthy(store: Store) -> None:
    """Return once the writer says that it is well, with nothing submitted meanwhile."""
    while not store.health().ok:  # noqa: ASYNC110  # health is a reading, it wakes nobody
        await asyncio.sleep(0.02)


async def test_a_locked_database_fails_who_waits_in_time_and_loses_nothing(url: str) -> None:
    loop = asyncio.get_running_loop()
    store = await Store.open(url, timeout_s=0.2)
    with locked(url):
        began = loop.time()
        await append(store, [event(1)])
        with pytest.raises(StoreUnavailable, match="locked"):
            await store.put_setting("a", b"1")
        assert 0.15 < loop.time() - began < PATIENCE_S
        assert not store.health().ok
        assert "locked" in store.health().failure
    await asyncio.wait_for(healthy(store), PATIENCE_S)
    assert await store.last_event_id() == 1
    await store.close()


async def test_a_short_lock_is_waited_out(url: str) -> None:
    store = await Store.open(url, timeout_s=10)
    with locked(url):
        written = asyncio.ensure_future(store.put_setting("a", b"1"))
        await asyncio.sleep(0)
        assert not written.done()
    await written
    await store.close()


async def test_a_full_database_recovers_and_loses_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        error.sqlite_errorname = "SQLITE_FULL"
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(writer, "apply_together", full)
        await append(store, [event(1)])
        with pytest.raises(StoreUnavailable, match="full") as caught:
            await store.put_setting("a", b"1")
        assert "free space" in caught.value.fix
        assert not store.health().ok
    await asyncio.wait_for(healthy(store), PATIENCE_S)
    assert await store.last_event_id() == 1


async def test_a_full_disk_refuses_at_once_and_recovers_without_a_submission(
    store: Store, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", no_space)
        with pytest.raises(StoreUnavailable, match="No space left"):
            await append(store, [event(1)])
        assert not store.health().ok
    await asyncio.wait_for(healthy(store), PATIENCE_S)
    await append(store, [event(2)])
    assert [row.event_id for row in await store.events_after("acme", 0, 10)] == [2]
    await append_before_a_kill(store, url, tmp_path)


async def append_before_a_kill(store: Store, url: str, tmp_path: Path) -> None:
    """What the log alone has is there after a start from the files as they are now."""
    await store.writer.settled()
    killed = tmp_path / "killed"
    with locked(url):
        await append(store, [event(3)])
        shutil.copytree(database_path(url).parent, killed)
    again = await Store.open(f"sqlite:///{killed}/{database_path(url).name}")
    assert await again.last_event_id() == 3
    await again.close()


async def test_an_io_failure_opens_the_file_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def done(connection: sqlite3.Connection, _: object) -> tuple[list[int], None]:
        connections.append(connection)
        if len(connections) == 1:
            raise OSError("input/output error")
        return [], None

    connections: list[sqlite3.Connection] = []
    monkeypatch.setattr(writer, "_done", done)
    with pytest.raises(StoreUnavailable, match="input/output"):
        await store.put_setting("a", b"1")
    await store.put_setting("a", b"1")
    assert connections[0] is not connections[1]
    assert store.health().ok


async def test_a_full_queue_refuses_at_once(url: str) -> None:
    store = await Store.open(url, max_queue=8, timeout_s=10)
    with locked(url):
        futures = [append(store, [event(n)]) for n in range(1, 30)]
        refused = [future for future in futures if future.done()]
        assert len(refused) == 21
        assert all(isinstance(future.exception(), StoreUnavailable) for future in refused)
        await settle(*futures)
    await store.writer.settled()
    assert len(await store.events_after("acme", 0, 100)) == 8
    await store.close()


async def test_a_database_that_is_far_behind_is_waited_for(url: str) -> None:
    store = await Store.open(url, max_queue=8, timeout_s=10)
    with locked(url):
        await settle(*(append(store, [event(n)]) for n in range(1, 5)))
        started = asyncio.Event()
        store.start_session(session("s1", requested_ms=1), started.set, lambda _: None)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not started.is_set()
    await asyncio.wait_for(started.wait(), PATIENCE_S)
    await store.close()


async def test_closing_leaves_no_log(url: str) -> None:
    store = await Store.open(url)
    append(store, [event(1)])
    await store.close()
    assert segments(database_path(url)) == []
