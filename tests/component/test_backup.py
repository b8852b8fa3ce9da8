"""The commands of docs/backup.md, as they stand there."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from component.conftest import StartRunner
from component.test_store_failure import locked
from e2e.pages import COPIES, run_by
from fakes.processes import RunnerProcess, Server
from paddock.client.text import TextChannel
from testbed.postgres import Postgres

_COMMANDS = [block.commands for block in run_by(COPIES)]


async def run(commands: str, path: str = "", **variables: str | Path) -> None:
    environ = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    environ["PATH"] = os.pathsep.join(filter(None, (path, environ["PATH"])))
    done = await asyncio.to_thread(
        subprocess.run, ["sh", "-euc", commands], env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


async def make_history(server: Server) -> list[str]:
    """Sessions that go on, after one that ended."""
    over = await server.begin(name="Ada")
    async with TextChannel.connect(over["textUrl"], over["token"]) as channel:
        await channel.hangup()
        async for _ in channel:
            pass
    await server.ended(over["sessionId"])
    return [over["sessionId"], *[(await server.begin())["sessionId"] for _ in range(2)]]


async def found(server: Server, sessions: list[str]) -> list[dict[str, Any]]:
    return [await server.session(session_id) for session_id in sessions]


def backup_folder(folder: Path) -> Path:
    backup = folder / "backup"
    backup.mkdir()
    return backup


async def test_an_sqlite_store_is_copied_while_it_works_and_put_back(
    server: Server, run_agent: StartRunner, tmp_path: Path
) -> None:
    backup = backup_folder(tmp_path)
    await run_agent()
    sessions = await make_history(server)
    await run(_COMMANDS[0], STATE=server.database.parent, BACKUP=backup)
    assert {path.stat().st_mode & 0o077 for path in backup.iterdir()} == {0}
    late = (await server.begin())["sessionId"]
    server.kill()
    for path in server.database.parent.iterdir():
        path.write_bytes(b"destroyed")
    await run(_COMMANDS[1], STATE=server.database.parent, BACKUP=backup)
    await server.start()
    rows = await found(server, sessions)
    assert rows[0]["data"] == {"name": "Ada"}
    assert rows[0]["end_reason"] == "completed"
    async with server.http() as http:
        assert (await http.get(f"/v1/sessions/{late}")).status_code == 404


async def test_what_only_the_commit_log_had_is_in_the_copy(
    server: Server, run_agent: StartRunner, tmp_path: Path
) -> None:
    backup = backup_folder(tmp_path)
    await run_agent()
    with locked(server):
        late = (await server.begin())["sessionId"]
        await run(_COMMANDS[0], STATE=server.database.parent, BACKUP=backup)
        server.kill()
    with contextlib.closing(sqlite3.connect(backup / server.database.name)) as copy:
        assert copy.execute("SELECT count(*) FROM sessions").fetchone() == (0,)
    shutil.rmtree(server.database.parent)
    server.database.parent.mkdir()
    await run(_COMMANDS[1], STATE=server.database.parent, BACKUP=backup)
    await server.start()
    assert (await server.session(late))["session_id"] == late


@pytest.mark.postgres
async def test_a_postgresql_store_is_dumped_while_it_works_and_restored_elsewhere(
    tmp_path: Path, shared_postgres: Postgres
) -> None:
    backup = backup_folder(tmp_path)
    programs = str(Path(shared_postgres.program("pg_dump")).parent)
    url, other = shared_postgres.create(), shared_postgres.create()
    server = Server(tmp_path, "--database-url", url)
    runner = RunnerProcess(server)
    try:
        await server.start()
        await runner.start(slots=8)
        sessions = await make_history(server)
        await run(_COMMANDS[2], programs, BACKUP=backup, DATABASE_URL=url)
        server.kill()
        await run(_COMMANDS[3], programs, BACKUP=backup, RESTORED_URL=other)
        server.options = ("--database-url", other)
        await server.start()
        rows = await found(server, sessions)
        assert [row["session_id"] for row in rows] == sessions
        assert rows[0]["end_reason"] == "completed"
        assert [event["kind"] for event in rows[0]["events"]][-1] == "session.ended"
    finally:
        runner.kill()
        server.kill()


def test_the_page_has_the_commands_that_are_tested() -> None:
    assert len(_COMMANDS) == 4
