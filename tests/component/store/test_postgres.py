"""What only PostgreSQL has: a server that goes away, and others who want the same database."""

import asyncio
from pathlib import Path
from typing import cast

import psutil
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from component.store.rows import append, change, ended, event, put, session, settle
from fakes.proxy import Proxy
from fakes.waiting import PATIENCE_S, eventually
from paddock_orchestrator.store.errors import (
    SchemaTooNew,
    StoreMisconfigured,
    StoreTaken,
    StoreUnavailable,
)
from paddock_orchestrator.store.migrations import head_revision
from paddock_orchestrator.store.postgres import writer
from paddock_orchestrator.store.postgres.address import read_address
from paddock_orchestrator.store.postgres.connecting import connect
from paddock_orchestrator.store.schema import metadata
from paddock_orchestrator.store.store import Store
from testbed.pki import make_certificates
from testbed.postgres import PASSWORD, Postgres

pytestmark = pytest.mark.postgres

SILENT_S = 3.0
"""What counts as silence where it is waited for; a server on a busy machine answers before."""
_HOLDER = """
    SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE locktype = 'advisory' AND datname = '{}'
"""


def database_of(url: str) -> str:
    return url.rpartition("/")[2]


def writing(server: Postgres, url: str) -> int:
    """The server's process for the writing session of this database."""
    [[pid]] = server.run(_HOLDER.format(database_of(url)), database="postgres")
    return cast("int", pid)


def through(proxy: Proxy, url: str) -> str:
    return url.replace(f":{proxy.target}/", f":{proxy.port}/")


def start(store: Store, session_id: str) -> asyncio.Future[None]:
    """A start: somebody waits for it."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settled(why: Exception | None = None) -> None:
        if not future.done():
            future.set_exception(why) if why is not None else future.set_result(None)

    store.start_session(session(session_id), settled, settled)
    return future


async def kept_events(store: Store) -> list[int]:
    return [row.event_id for row in await store.events_after("acme", 0, 10_000)]


# Opening.


async def test_migrations_make_exactly_the_schema(shared_postgres: Postgres) -> None:
    store = await Store.open(shared_postgres.create())

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    assert await store.reader.read(differences) == []
    await store.close()


async def test_a_newer_database_is_refused(shared_postgres: Postgres) -> None:
    url = shared_postgres.create()
    await (await Store.open(url)).close()
    newer = "UPDATE alembic_version SET version_num='9999'"
    shared_postgres.run(newer, database=database_of(url))
    with pytest.raises(SchemaTooNew, match=f"9999.*expected: {head_revision()}.*fix:"):
        await Store.open(url)


async def test_a_database_of_somebody_else_is_refused_untouched(shared_postgres: Postgres) -> None:
    url = shared_postgres.create()
    shared_postgres.run("CREATE TABLE events (x int)", database=database_of(url))
    with pytest.raises(StoreMisconfigured, match=r"already exists.*another database"):
        await Store.open(url)
    tables = (
        "SELECT relname FROM pg_class WHERE relkind='r' AND relnamespace='public'::regnamespace"
    )
    assert shared_postgres.run(tables, database=database_of(url)) == [("events",)]


@pytest.mark.parametrize(
    ("database", "password", "options", "what"),
    [
        ("postgres", "wr0ng", "", "password authentication failed.*correct user and password"),
        ("nowhere", None, "", '"nowhere" does not exist.*create the database'),
        ("postgres", None, "?sslmode=require", "does not support SSL.*correct sslmode"),
        (
            "postgres", None, "?options=-cdefault_transaction_read_only%3Don",
            "read-only.*target_session_attrs=read-write",
        ),
    ],
)  # fmt: skip
async def test_what_waiting_does_not_mend_is_said_at_once_and_without_the_password(
    shared_postgres: Postgres, database: str, password: str | None, options: str, what: str
) -> None:
    url = shared_postgres.url(
        database, options=options, **({"password": password} if password else {})
    )
    with pytest.raises(
        StoreMisconfigured, match=f"127.0.0.1:{shared_postgres.port}.*{what}"
    ) as told:
        await Store.open(url)
    assert "\n" not in str(told.value)
    for secret in (PASSWORD, "wr0ng", "staple"):
        assert secret not in str(told.value)


async def test_a_server_is_trusted_for_the_authority_and_the_name_of_its_certificate(
    postgres: Postgres, tmp_path: Path
) -> None:
    ours, other = tmp_path / "ours", tmp_path / "other"
    make_certificates(ours, apiserver_addresses=["127.0.0.1"])
    make_certificates(other, apiserver_addresses=["127.0.0.1"])
    url = postgres.create()
    postgres.stop()
    postgres.encrypt(ours / "apiserver.crt", ours / "apiserver.key")
    postgres.start()

    store = await Store.open(f"{url}?sslmode=verify-full&sslrootcert={ours / 'ca.crt'}")
    encrypted = (
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
        f" WHERE datname = '{database_of(url)}'"
    )
    assert postgres.run(encrypted, database="postgres") == [(True,)]
    await put(store, session("s1"))
    await store.close()

    wrong = [
        (url, other, "certificate verify failed"),
        (url.replace("127.0.0.1", "127.0.0.2"), ours, 'does not match host name "127.0.0.2"'),
    ]
    for address, authority, what in wrong:
        with pytest.raises(StoreMisconfigured, match=f"{what}.*correct sslmode and sslrootcert"):
            await Store.open(f"{address}?sslmode=verify-full&sslrootcert={authority / 'ca.crt'}")


async def test_a_server_that_is_not_there_is_waited_for_and_named(postgres: Postgres) -> None:
    url = postgres.create()
    postgres.stop()
    with pytest.raises(
        StoreUnavailable, match=f"127.0.0.1:{postgres.port}/.*see that PostgreSQL runs"
    ):
        await Store.open(url, wait_s=0.3)
    opening = asyncio.create_task(Store.open(url, wait_s=30))
    await asyncio.sleep(0)
    await asyncio.to_thread(postgres.start)
    await (await opening).close()


async def test_a_frozen_server_is_not_waited_for_longer(postgres: Postgres) -> None:
    url = postgres.create()
    postgres.freeze()
    began = asyncio.get_running_loop().time()
    with pytest.raises(StoreUnavailable, match="timeout"):
        await Store.open(url, timeout_s=2, wait_s=0)
    assert asyncio.get_running_loop().time() - began < 20
    postgres.thaw()


async def test_what_is_committed_is_flushed_whatever_the_database_was_set_to(
    shared_postgres: Postgres,
) -> None:
    url = shared_postgres.create()
    name = database_of(url)
    for setting, seen in (("off", "on"), ("remote_apply", "remote_apply")):
        shared_postgres.run(
            f"ALTER DATABASE {name} SET synchronous_commit={setting}", database=name
        )
        connection = await connect(read_address(url, timeout_s=5), "test", 5)
        cursor = await connection.execute("SHOW synchronous_commit")
        assert await cursor.fetchone() == (seen,)
        await connection.close()


# Two orchestrators.


async def test_a_second_one_waits_for_the_first_and_then_says_who_it_is(
    shared_postgres: Postgres,
) -> None:
    url = shared_postgres.create()
    first = await Store.open(url)
    with pytest.raises(StoreTaken, match=r"another orchestrator.*127\.0\.0\.1, connected since 20"):
        await Store.open(url, wait_s=0.1)
    second = asyncio.create_task(Store.open(url, wait_s=30))
    await put(first, session("s1"))
    await first.close()
    assert await (await second).session("acme", "s1") is not None
    await (await second).close()


async def test_two_schemas_of_a_database_are_two_databases(shared_postgres: Postgres) -> None:
    url = shared_postgres.create()
    for name in ("one", "two"):
        shared_postgres.run(f"CREATE SCHEMA {name}", database=database_of(url))
    one = await Store.open(f"{url}?options=-csearch_path%3Done")
    two = await Store.open(f"{url}?options=-csearch_path%3Dtwo", wait_s=0)
    await put(one, session("s1"))
    assert await two.session("acme", "s1") is None
    await one.close()
    await two.close()


async def test_whose_database_was_taken_meanwhile_is_told_and_writes_nothing(
    shared_postgres: Postgres,
) -> None:
    url = shared_postgres.create()
    async with Proxy(shared_postgres.port) as proxy:
        first = await Store.open(through(proxy, url), timeout_s=2)
        taken = asyncio.create_task(first.taken())
        proxy.open = False
        proxy.cut()
        second = await Store.open(url, wait_s=30)
        with pytest.raises(StoreUnavailable):
            await start(first, "s1")
        proxy.open = True
        told = await asyncio.wait_for(taken, PATIENCE_S)
        assert "another orchestrator works on" in str(told)
        with pytest.raises(StoreTaken):
            await start(first, "s2")
        with pytest.raises(StoreTaken):
            await append(first, [event(1)])
        await first.close()
    assert await second.list_sessions("acme") == []
    await second.close()


async def test_one_that_came_and_went_meanwhile_is_noticed(
    shared_postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a start, before the writer looks by itself: it would refuse what finds nobody there."""
    monkeypatch.setattr(writer, "_IDLE_S", 600.0)
    url = shared_postgres.create()
    async with Proxy(shared_postgres.port) as proxy:
        first = await Store.open(through(proxy, url), timeout_s=2)
        proxy.open = False
        proxy.cut()
        await (await Store.open(url, wait_s=30)).close()
        proxy.open = True
        with pytest.raises(StoreTaken, match="has worked on"):
            await start(first, "s1")
        await asyncio.wait_for(first.taken(), PATIENCE_S)
        await first.close()


# Outages.


async def test_a_server_that_restarts_between_two_starts_is_not_noticed(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the writer asks for a sign of life meanwhile, which it does when it is idle."""
    monkeypatch.setattr(writer, "_IDLE_S", 600.0)
    store = await Store.open(postgres.create())
    await start(store, "s1")
    assert await store.session("acme", "s1") is not None
    await asyncio.to_thread(postgres.stop)
    await asyncio.to_thread(postgres.start)
    await start(store, "s2")
    assert await store.session("acme", "s2") is not None
    await store.close()


async def test_a_killed_server_loses_nothing_that_was_answered_and_doubles_nothing(
    postgres: Postgres,
) -> None:
    store = await Store.open(postgres.create())
    answered: set[str] = set()
    told: set[int] = set()
    killed = asyncio.Event()

    async def caller(name: int) -> None:
        number = 0
        while not killed.is_set():
            number += 1
            [outcome] = await settle(start(store, f"s{name}-{number}"))
            if outcome is None:
                answered.add(f"s{name}-{number}")

    async def teller() -> None:
        number = 0
        while not killed.is_set():
            number += 1
            noted = number
            store.append_soon([event(noted)], lambda noted=noted: told.add(noted))  # type: ignore[misc]
            await asyncio.sleep(0.001)
        assert number > 10
        await eventually(lambda: len(told) == number)

    work = asyncio.gather(teller(), *(caller(n) for n in range(8)))
    await eventually(lambda: len(answered) > 50 and told)
    await asyncio.to_thread(postgres.kill)
    with pytest.raises(StoreUnavailable):
        await start(store, "nobody")
    assert not store.ok
    row = session("ended")
    put(store, row)
    change(store, ended(row, 7))
    killed.set()
    await asyncio.to_thread(postgres.start)
    await work
    await eventually(lambda: store.ok)
    kept = {row.session_id for row in await store.list_sessions("acme", limit=100_000)}
    assert answered <= kept
    assert "nobody" not in kept
    events = await kept_events(store)
    assert events == sorted(told)
    last = await store.session("acme", "ended")
    assert last is not None
    assert last.torn_down_ms == 7
    await store.close()


async def test_a_frozen_server_refuses_in_time_and_gets_the_rest_when_it_thaws(
    postgres: Postgres,
) -> None:
    loop = asyncio.get_running_loop()
    store = await Store.open(postgres.create(), timeout_s=SILENT_S)
    await start(store, "s0")
    postgres.freeze()
    began = loop.time()
    noted = append(store, [event(1)])
    read = asyncio.ensure_future(store.last_event_id())
    outcomes = await settle(start(store, "s1"), read)
    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    assert f"no answer within {SILENT_S:g} s" in str(outcomes[0])
    assert loop.time() - began < 20
    refused = start(store, "s2")
    assert refused.done(), "now it is known, nobody waits in vain"
    assert isinstance(refused.exception(), StoreUnavailable)
    assert not noted.done()
    postgres.thaw()
    await asyncio.wait_for(noted, PATIENCE_S)
    await start(store, "s3")
    assert await kept_events(store) == [1]
    await store.close()


async def test_a_former_session_that_hangs_on_is_ended(shared_postgres: Postgres) -> None:
    """A half-open connection: the server would keep its lock until its keepalives give up."""
    url = shared_postgres.create()
    async with Proxy(shared_postgres.port) as proxy:
        store = await Store.open(through(proxy, url), timeout_s=SILENT_S)
        former = writing(shared_postgres, url)
        proxy.strand()
        noted = append(store, [event(1)])
        await asyncio.wait_for(noted, PATIENCE_S)
        assert former != writing(shared_postgres, url)
        await start(store, "s1")
        await store.close()


async def test_a_commit_whose_answer_was_lost_is_not_made_twice(shared_postgres: Postgres) -> None:
    """Its session freezes in the middle, thaws, commits; the group goes again."""
    url = shared_postgres.create()
    store = await Store.open(url, timeout_s=SILENT_S)
    await put(store, session("s1"))
    pid = writing(shared_postgres, url)
    backend = psutil.Process(pid)
    backend.suspend()
    noted = change(store, ended(session("s1"), 9), [event(1), event(2)])
    await eventually(lambda: not store.ok)
    backend.resume()
    await asyncio.wait_for(noted, PATIENCE_S)
    assert await kept_events(store) == [1, 2]
    await store.close()


async def test_a_database_that_becomes_read_only_recovers_by_itself(
    shared_postgres: Postgres,
) -> None:
    url = shared_postgres.create()
    name = database_of(url)
    store = await Store.open(url)
    shared_postgres.run(
        f"ALTER DATABASE {name} SET default_transaction_read_only=on", database=name
    )
    shared_postgres.run(
        f"SELECT pg_terminate_backend({writing(shared_postgres, url)})", database="postgres"
    )
    with pytest.raises(StoreUnavailable, match="read-only"):
        await start(store, "s1")
    noted = append(store, [event(1)])
    shared_postgres.run(
        f"ALTER DATABASE {name} RESET default_transaction_read_only", database="postgres"
    )
    await asyncio.wait_for(noted, PATIENCE_S)
    await start(store, "s1")
    await store.close()


async def test_an_idle_writer_notices_by_itself_that_its_server_is_gone(postgres: Postgres) -> None:
    store = await Store.open(postgres.create())
    postgres.kill()
    await eventually(lambda: not store.ok)
    postgres.start()
    await eventually(lambda: store.ok)
    await store.close()


async def test_closing_while_the_server_is_gone_ends_in_time(postgres: Postgres) -> None:
    store = await Store.open(postgres.create(), timeout_s=SILENT_S)
    postgres.freeze()
    noted = append(store, [event(1)])
    await asyncio.wait_for(store.close(), PATIENCE_S)
    assert isinstance(noted.exception(), StoreUnavailable)
    postgres.thaw()


async def test_a_full_queue_refuses_at_once(postgres: Postgres) -> None:
    store = await Store.open(postgres.create(), max_queue=8, timeout_s=SILENT_S)
    postgres.freeze()
    futures = [append(store, [event(n)]) for n in range(1, 30)]
    refused = [future for future in futures if future.done()]
    assert len(refused) == 21
    assert all(isinstance(future.exception(), StoreUnavailable) for future in refused)
    postgres.thaw()
    await settle(*futures)
    assert await kept_events(store) == list(range(1, 9))
    await store.close()


# Rows.


async def test_a_nul_is_kept_and_found_as_the_replacement_character(
    shared_postgres: Postgres,
) -> None:
    store = await Store.open(shared_postgres.create())
    await put(store, session("s\0", runner_id="r\0"), [event(1, kind="k\0")])
    found = await store.session("acme", "s\0")
    assert found is not None
    assert (found.session_id, found.runner_id) == ("s\ufffd", "r\ufffd")
    await store.put_setting("a\0", b"\0")
    assert await store.setting("a\0") == b"\0"
    await store.close()


async def test_text_that_is_no_unicode_is_left_out_alone(shared_postgres: Postgres) -> None:
    store = await Store.open(shared_postgres.create())
    await settle(append(store, [event(1, kind="\ud800")]), append(store, [event(2)]))
    assert await kept_events(store) == [2]
    assert store.ok
    await store.close()
