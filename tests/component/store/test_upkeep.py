"""Keys, settings, usage, pruning, backups and the files themselves."""

import asyncio
import contextlib
import sqlite3
import stat
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from component.store.rows import ended, event, session
from paddock_orchestrator.store.errors import AlreadyExists, StoreMisconfigured
from paddock_orchestrator.store.pruning import prune
from paddock_orchestrator.store.records import Key, Organization, Pruned, Scope, Usage
from paddock_orchestrator.store.store import Store

_KEY = Key("k1", "acme", "CI", Scope.PRIVATE, b"d1", 1, agents=("a", "b"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def test_files_and_new_directories_are_the_owners(tmp_path: Path) -> None:
    path = tmp_path / "one" / "two" / "records.db"
    store = await Store.open(f"sqlite:///{path}")
    await store.append_events([event(1)])
    assert [mode(path.parent), mode(path.parent.parent)] == [0o700, 0o700]
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["records.db", "records.db-shm", "records.db-wal"]
    assert {0o600} == {mode(file) for file in files}
    await store.close()
    assert [path] == list(path.parent.iterdir())


async def test_a_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreMisconfigured, match=r"file/records\.db"):
        await Store.open(f"sqlite:///{tmp_path}/file/records.db")


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
    await store.record_started(
        session("s1", requested_ms=0, assigned_ms=10, started_ms=30, ended_ms=100, torn_down_ms=105)
    )
    await store.record_started(session("s2", requested_ms=5, assigned_ms=20, started_ms=21))
    never_ran = session("s3", agent="sales", requested_ms=50, assigned_ms=60)
    await store.record_started(replace(never_ran, ended_ms=70, torn_down_ms=70))
    queued = session("s4", agent="sales", requested_ms=50, assigned_ms=None)
    await store.record_started(replace(queued, ended_ms=90, torn_down_ms=95))
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
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    store = await Store.open(f"sqlite:///{tmp_path_factory.mktemp('usage')}/records.db")
    for n in range(6):
        times = [7 * n, 8 * n, 9 * n + 3, 15 * n + 3, 16 * n + 3]
        names = ["requested_ms", "assigned_ms", "started_ms", "ended_ms", "torn_down_ms"]
        await store.record_started(session(f"s{n}", **dict(zip(names, times, strict=True))))
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
        await store.record_started(row, [event(10 * n + 1, f"s{n}", at_ms=n)])
        if n != 3:
            await store.record_changed(ended(row, n + 1), [event(10 * n + 2, f"s{n}", at_ms=n + 1)])
    await store.append_events(
        [event(900, at_ms=4), event(901, at_ms=5), event(902, "gone", at_ms=1)]
    )
    assert await prune(store.reader, store.writer, 5, step=2) == Pruned(3, 3 * 2 + 2)
    left = {row.session_id for row in await store.list_sessions("acme")}
    assert {"s3", *(f"s{n}" for n in range(4, 10))} == left
    assert len(await store.events_of("acme", "s3")) == 1
    assert len(await store.events_of("acme", "s4")) == 2
    assert {901} == {r.event_id for r in await store.events_after("acme", 899, 10)}
    assert Pruned(0, 0) == await store.prune(5)


async def test_pruning_lets_starts_through(store: Store) -> None:
    for n in range(400):
        store.record_started(session(f"s{n:03}", ended_ms=1, torn_down_ms=1))
    await store.append_events([event(1, at_ms=100)])
    before = store.health().commits
    pruning = asyncio.create_task(prune(store.reader, store.writer, 50, step=20))
    number = 2
    while not pruning.done():
        await store.append_events([event(number, at_ms=100)])
        number += 1
    assert Pruned(400, 0) == await pruning
    assert store.health().commits - before >= 20
    assert number > 3


async def test_a_backup_is_whole_and_private(store: Store, tmp_path: Path) -> None:
    await store.record_started(session("s1"), [event(1, "s1")])
    target = tmp_path / "backup.db"
    await store.backup(target)
    await store.append_events([event(2)])
    assert mode(target) == 0o600
    assert "backup.db" in names(tmp_path)
    assert "backup.db.partial" not in names(tmp_path)
    with contextlib.closing(sqlite3.connect(target)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    restored = await Store.open(f"sqlite:///{target}")
    assert await store.session("acme", "s1") == await restored.session("acme", "s1")
    assert await restored.last_event_id() == 1
    await restored.close()


async def test_a_backup_that_cannot_be_written_says_where(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreMisconfigured, match=r"nowhere/backup\.db"):
        await store.backup(tmp_path / "nowhere" / "backup.db")
