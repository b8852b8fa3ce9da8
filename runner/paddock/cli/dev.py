"""`paddock dev`: orchestrator, runner and console in one command, reloading on save."""

import asyncio
import contextlib
import os
import re
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import click

from paddock.cli.children import Child
from paddock.cli.conversation import TypedLines, converse
from paddock.cli.dev_server import DevServer, find_or_start
from paddock.cli.failures import Failure
from paddock.cli.options import example, run_async, server_options
from paddock.client.client import AsyncClient
from paddock.errors import PaddockError

LOOK_S = 0.5
REGISTER_TIMEOUT_S = 30.0
LEAVE_TIMEOUT_S = 10.0
"""How long a runner may take to hear that it is to leave."""
TERMINATED = 143
"""Exit code after SIGTERM, as shells count it."""


@click.command(
    epilog=example("paddock dev agent.py", "paddock dev bot.py --agent billing --no-console")
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--agent", metavar="NAME", help="The agent's name. Default: the file's.")
@click.option("--console/--no-console", default=True, help="Talk to it here, or only run it.")
@click.option("--verbose", is_flag=True, help="Show the orchestrator's log too.")
@server_options
@run_async
async def dev(
    file: Path,
    agent: str | None,
    console: bool,
    verbose: bool,
    url: str | None,
    api_key: str | None,
) -> int:
    """Run FILE as the agent NAME@dev, reload it on save, and talk to it in the terminal.

    Uses the orchestrator that is running; without one, starts its own for as long as this runs.
    Saving a file starts the new code; calls on the old code finish there.
    """
    from paddock.cli.agent_file import inspect_file

    inspect_file(file)
    task, stopped = asyncio.current_task(), asyncio.Event()
    assert task is not None

    def stop() -> None:
        stopped.set()
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        await _dev(file, agent or agent_name(file), url, api_key, console=console, verbose=verbose)
    except asyncio.CancelledError:
        if not stopped.is_set():
            raise
        return TERMINATED
    return 0


async def _dev(
    file: Path,
    agent: str,
    url: str | None,
    api_key: str | None,
    *,
    console: bool,
    verbose: bool,
) -> None:
    """Until standard input ends, or cancelled; every child has ended then."""
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="paddock-dev-")))
        server = await find_or_start(stack, scratch, url, api_key, verbose=verbose)
        client = await stack.enter_async_context(AsyncClient(server.key, server.url))
        pool = Reloading(file, agent, server, client)
        stack.push_async_callback(pool.close)
        name = await pool.begin()
        note(f"{name} runs on {server.url}; save {file.name} to reload, Ctrl-C to leave")
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(pool.watch())
            if console:
                await talk(client, name)
            else:
                await asyncio.Event().wait()
            watching.cancel()


def agent_name(file: Path) -> str:
    """A valid agent's name from a file's."""
    name = re.sub(r"[^a-z0-9]+", "-", file.stem.lower()).strip("-")[:63]
    return name or "agent"


def note(words: str) -> None:
    click.echo(click.style(f"[{words}]", dim=True))


class Reloading:
    """The runner of the newest code that works; older ones drain."""

    def __init__(self, file: Path, agent: str, server: DevServer, client: AsyncClient) -> None:
        self._file = file
        self._agent = agent
        self._server = server
        self._client = client
        self._current: Child | None = None
        self._leaving: list[Child] = []
        self._number = 0
        self._seen: dict[str, int] = {}
        """The files as the newest runner found them, or older."""

    async def begin(self) -> str:
        """Start the first runner; the name it registered under. Raises `Failure`."""
        self._seen = self._stamps()
        self._current, name = await self._start()
        return name

    async def watch(self) -> None:
        """Start the new code whenever a file changes; the old runner then drains."""
        while True:
            await asyncio.sleep(LOOK_S)
            now = self._stamps()
            if now == self._seen:
                if self._current is not None and not self._current.running:
                    note("the runner has ended; save the file to start it again")
                    self._current = None
                continue
            self._seen = now
            await self._reload()

    async def close(self) -> None:
        """End every runner; calls that are on are told."""
        children = [c for c in (self._current, *self._leaving) if c is not None and c.running]
        await asyncio.gather(*(child.stop() for child in children))

    async def _reload(self) -> None:
        from paddock.cli.agent_file import inspect_file

        try:
            inspect_file(self._file)
            fresh, _ = await self._start()
        except Failure as why:
            click.echo(f"Error: {why.message}", err=True)
            note("the old code goes on; save again to retry")
            return
        old, self._current = self._current, fresh
        self._leaving = [c for c in self._leaving if c.running]
        if old is not None:
            old.terminate()
            self._leaving.append(old)
            await self._until_only_the_newest_is_called()
        note("reloaded; new calls meet the new code")

    async def _start(self) -> tuple[Child, str]:
        self._number += 1
        runner_id = f"dev-{os.getpid()}-{self._number}"
        env = {
            "PADDOCK_BASE_URL": self._server.url,
            "PADDOCK_API_KEY": self._server.runner_key,
            "PADDOCK_AGENT_ID": self._agent,
            "PADDOCK_RUNNER_ID": runner_id,
            "PADDOCK_DEV_MODE": "1",
        }
        child = await Child.start(("run", str(self._file)), env, _echo)
        try:
            return child, await self._registered(child, runner_id)
        except BaseException:
            await child.stop()
            raise

    async def _registered(self, child: Child, runner_id: str) -> str:
        """The pool that the runner is in, as soon as it is."""
        until = asyncio.get_running_loop().time() + REGISTER_TIMEOUT_S
        while asyncio.get_running_loop().time() < until:
            for runner in await self._client.runners.list():
                if runner.runner_id == runner_id and runner.connected:
                    return runner.agent
            if not child.running:
                await child.wait()
                last = child.last_line.removeprefix("Error: ").removeprefix("paddock: ")
                raise Failure(last or f"the runner ended with {child.process.returncode}")
            await asyncio.wait((child.reading,), timeout=0.1)
        raise Failure(f"the runner did not register within {REGISTER_TIMEOUT_S:g} s")

    async def _until_only_the_newest_is_called(self) -> None:
        """What was told to leave may hear it a bit later. Does not wait for it for ever."""
        older = {f"dev-{os.getpid()}-{n}" for n in range(1, self._number)}
        with contextlib.suppress(TimeoutError, PaddockError):
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                while any(  # noqa: ASYNC110  # nobody is woken by what runners say
                    runner.runner_id in older and runner.connected and not runner.draining
                    for runner in await self._client.runners.list()
                ):
                    await asyncio.sleep(0.05)

    def _stamps(self) -> dict[str, int]:
        """Modification times of the Python files beside the agent's."""
        stamps = {}
        for path in self._file.resolve().parent.glob("*.py"):
            try:
                stamps[path.name] = path.stat().st_mtime_ns
            except OSError:
                continue  # an editor is replacing it: the next look sees it
        return stamps


def _echo(line: str) -> None:
    if not line.startswith("Error: "):
        click.echo(click.style(f"│ {line}", dim=True), err=True)


async def talk(client: AsyncClient, name: str) -> None:
    """One call after the other until standard input ends."""
    from paddock.client.text import TextChannel

    lines, at_terminal = TypedLines(), sys.stdin.isatty()
    while True:
        try:
            started = await client.start(name)
            async with TextChannel.connect(started.text_url, started.token) as channel:
                await converse(channel, lines, scripted=not at_terminal)
        except PaddockError as why:
            click.echo(f"Error: {why}", err=True)
        if lines.at_end:
            return
        note("Enter calls again, Ctrl-D leaves")
        try:
            await anext(lines)
        except StopAsyncIteration:
            return
