"""An orchestrator on PostgreSQL: what callers and operators see when the database fails them."""

import asyncio
import functools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from component.conftest import StartRunner
from component.test_calls import heard, rest
from component.test_starting import START, refusal
from fakes.processes import Server
from fakes.proxy import Proxy
from fakes.waiting import eventually
from paddock.client.text import TextChannel
from testbed.postgres import PASSWORD, Postgres

pytestmark = pytest.mark.postgres

_COMMAND = "from paddock_orchestrator.cli import orchestrator; orchestrator()"


@pytest.fixture
async def server(tmp_path: Path, postgres: Postgres) -> AsyncIterator[Server]:
    made = Server(tmp_path, "--log-level", "debug", "--database-url", postgres.create())
    try:
        await made.start()
        yield made
    finally:
        made.kill()


def refused_to_start(folder: Path, url: str, **environ: str) -> str:
    """What an orchestrator says that does not start."""
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND, "--port", "0", "--log-format", "json"],
        env={
            "PATH": os.environ["PATH"], "HOME": str(folder), "PADDOCK_HOME": str(folder / "state"),
            "PADDOCK_ORCHESTRATOR_DATABASE_URL": url,
            "PADDOCK_ORCHESTRATOR_DATABASE_WAIT_S": "0.2", **environ,
        },
        cwd=folder, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "Traceback" not in said
    for secret in (PASSWORD, "battery", "staple", "hunter2"):
        assert secret not in said
    [line] = [line for line in said.splitlines() if line.startswith("Error: ")]
    assert said.endswith(f"{line}\n")
    return line


async def ready(http: httpx.AsyncClient) -> bool:
    return (await http.get("/readyz")).status_code == 200


Break = Callable[[Postgres], None]


@pytest.mark.parametrize(
    ("fail", "mend"),
    [(Postgres.kill, Postgres.start), (Postgres.freeze, Postgres.thaw)],
    ids=["killed", "frozen"],
)
async def test_without_its_database_starts_are_refused_and_calls_go_on_and_are_recorded(
    server: Server, run_agent: StartRunner, postgres: Postgres, fail: Break, mend: Break
) -> None:
    await run_agent()
    kept, over = await server.begin(), await server.begin()
    async with (
        TextChannel.connect(kept["textUrl"], kept["token"]) as channel,
        TextChannel.connect(over["textUrl"], over["token"]) as ending,
        server.http("public") as http,
    ):
        assert await heard(channel) == "hello"
        await asyncio.to_thread(fail, postgres)
        first = await http.post(START)
        refusal(first, 503, "store_unavailable")
        assert int(first.headers["Retry-After"]) >= 1
        refusal(await http.post(START), 503, "store_unavailable")
        assert not await ready(http)
        assert (await http.get("/healthz")).status_code == 200
        refusal(await http.get("/v1/sessions", headers=_manager(server)), 503, "store_unavailable")
        await channel.say("one")
        assert await heard(channel) == "heard one"
        await ending.say("bye")
        await rest(ending)
        await asyncio.to_thread(mend, postgres)
        await eventually(lambda: ready(http))
        assert (await http.post(START)).status_code == 200
        assert await server.ended(over["sessionId"]) == ("completed", "sold")
        await channel.say("two")
        assert await heard(channel) == "heard two"
    kinds = [e["kind"] for e in (await server.session(over["sessionId"]))["events"]]
    assert kinds == ["session.started", "session.active", "session.ended"]

    async def only_the_new_call() -> bool:
        return bool((await server.get("/v1/agents/desk"))["in_flight"] == 1)

    await eventually(only_the_new_call)
    assert "Traceback" not in server.text()
    assert "battery" not in server.text()


def _manager(server: Server) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.keys['private']}"}


async def test_every_answered_start_is_known_after_the_orchestrator_was_killed_under_load(
    server: Server, run_agent: StartRunner
) -> None:
    runners = [await run_agent(f"r{n}", slots=50) for n in range(3)]
    held = await server.begin()
    answered: list[str] = []
    async with TextChannel.connect(held["textUrl"], held["token"]) as channel:
        assert await heard(channel) == "hello"
        for _ in range(2):
            stopping = asyncio.Event()
            callers = [
                asyncio.create_task(_call_until(stopping, server, answered)) for _ in range(6)
            ]
            await eventually(functools.partial(_has, answered, len(answered) + 30))
            server.kill()
            stopping.set()
            await asyncio.gather(*callers)
            await channel.say("later one")
            await server.start()
            assert await heard(channel) == "heard later one"
            for runner in runners:
                await eventually(runner.connected)
        listed = {row["session_id"]: row for row in await _all_sessions(server)}
        assert set(answered) <= listed.keys()
        assert {listed[one]["end_reason"] for one in answered} <= {None}
        await channel.hangup()
        await rest(channel)
    assert await server.ended(held["sessionId"]) == ("completed", "hangup")


def _has(answered: list[str], count: int) -> bool:
    return len(answered) >= count


async def _call_until(stopping: asyncio.Event, server: Server, answered: list[str]) -> None:
    async with server.http("public") as http:
        while not stopping.is_set():
            try:
                answer = await http.post(START)
            except httpx.TransportError:
                return
            if answer.status_code == 200:
                answered.append(answer.json()["sessionId"])


async def _all_sessions(server: Server) -> list[dict[str, str | None]]:
    found: list[dict[str, str | None]] = []
    after = ""
    while True:
        page = await server.get(f"/v1/sessions?limit=100{after}")
        found += page["sessions"]
        if not page["next"]:
            return found
        after = f"&before={page['next']}"


async def test_whose_database_another_one_took_ends_and_says_so(
    tmp_path: Path, postgres: Postgres
) -> None:
    url = postgres.create()
    second = Server(tmp_path, "--database-url", url)
    async with Proxy(postgres.port) as proxy:
        cut_off = url.replace(f":{postgres.port}/", f":{proxy.port}/")
        first = Server(tmp_path / "first", "--database-url", cut_off)
        first.directory.mkdir()
        try:
            await first.start()
            proxy.open = False
            proxy.cut()
            second.contexts.write_text(first.contexts.read_text())
            await second.start()
            proxy.open = True
            assert await first.exited() == 1
            last = first.text().splitlines()[-1]
            assert last.startswith("Error: another orchestrator works on postgresql://127.0.0.1:")
            assert "Traceback" not in first.text()
        finally:
            first.kill()
            second.kill()


def test_a_second_orchestrator_is_refused_with_the_name_of_the_first(
    tmp_path: Path, server: Server
) -> None:
    said = refused_to_start(tmp_path, server.options[-1])
    assert "another orchestrator works on postgresql://127.0.0.1:" in said
    assert "connected since" in said
    assert "fix: stop it, or name another database" in said
    assert not (tmp_path / "state").exists()


def test_what_is_wrong_with_a_database_is_one_line_with_the_cure(
    tmp_path: Path, shared_postgres: Postgres
) -> None:
    name, at = "postgres", f"127.0.0.1:{shared_postgres.port}"
    wrong = refused_to_start(tmp_path, shared_postgres.url(name, password="hunter2"))
    assert at in wrong
    assert "fix: correct user and password in the URL" in wrong
    missing = refused_to_start(tmp_path, shared_postgres.url("nowhere"))
    assert '"nowhere" does not exist' in missing
    assert "fix: create the database" in missing
    plain = refused_to_start(tmp_path, shared_postgres.url(name, options="?sslmode=verify-full"))
    assert "fix: correct sslmode and sslrootcert" in plain
    read_only = "?options=-cdefault_transaction_read_only%3Don"
    standby = refused_to_start(tmp_path, shared_postgres.url(name, options=read_only))
    assert "fix: name the primary" in standby


def test_a_server_that_is_not_there_is_named_after_the_wait(
    tmp_path: Path, postgres: Postgres
) -> None:
    url = postgres.create()
    postgres.stop()
    said = refused_to_start(tmp_path, url)
    assert f"postgresql://127.0.0.1:{postgres.port}/" in said
    assert "fix: see that PostgreSQL runs there" in said
    postgres.start()
    postgres.freeze()
    assert "timeout" in refused_to_start(tmp_path, f"{url}?connect_timeout=2")
    postgres.thaw()
    unknown = refused_to_start(tmp_path, "postgresql://p:hunter2@nowhere.invalid/db")
    assert "nowhere.invalid" in unknown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://p:hunter2/hunter2@host/db",
        "postgresql://p:hunter2@hunter2@host/db",
        "postgresql://p:hunter2@host:port/db",
        "postgresql://p:hunter2%@host/db",
        "postgresql://p:hunter2@host/db?sslmod=require",
        "postgresql://p:12/hunter2@host/db",
        "p:hunter2@host/db",
        "mysql://p:hunter2@host/db",
    ],
)
def test_a_url_that_cannot_be_read_is_not_repeated(tmp_path: Path, url: str) -> None:
    said = refused_to_start(tmp_path, url)
    assert "expected: " in said


def test_a_missing_driver_is_told_with_the_line_that_installs_it(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ModuleNotFoundError('no', name='psycopg')\n")
    said = refused_to_start(tmp_path, "postgresql://p@host/db", PYTHONPATH=str(tmp_path))
    assert "pip install 'paddock[orchestrator,postgres]'" in said
