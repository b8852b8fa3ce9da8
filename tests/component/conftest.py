"""Real processes on real sockets, killed when their test is over."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from fakes.processes import Process, RunnerProcess, Server

StartRunner = Callable[..., Awaitable[RunnerProcess]]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """An orchestrator of this test alone."""
    made = Server(tmp_path)
    try:
        await made.start()
        yield made
    finally:
        made.kill()


@pytest.fixture
async def run_agent(server: Server) -> AsyncIterator[StartRunner]:
    """Starts runners of `server`."""
    running: list[Process] = []

    async def start(name: str = "r1", agent: str = "desk", **given: object) -> RunnerProcess:
        runner = RunnerProcess(server, name, agent=agent)
        running.append(runner)
        await runner.start(**given)  # type: ignore[arg-type]
        return runner

    yield start
    for runner in running:
        runner.kill()
