"""The orchestrator that `paddock dev` uses: the one that runs, else one of its own."""

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from paddock.cli.children import Child
from paddock.cli.failures import Failure
from paddock.client.contexts import ContextFile
from paddock.client.server import find_server, http_base
from paddock.client.transport import Transport
from paddock.errors import ApiError

START_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class DevServer:
    """Where it listens, a key to manage it and one for the runner."""

    url: str
    key: str
    runner_key: str


async def find_or_start(
    stack: AsyncExitStack, scratch: Path, url: str | None, api_key: str | None, *, verbose: bool
) -> DevServer:
    """A server that answers. One that is started here ends with `stack`. Raises `Failure`."""
    known = find_server(api_key, url, os.environ)
    if known.key and (url or await answers(known.url, timeout_s=2.0)):
        contexts = ContextFile.load(os.environ).contexts.values()
        runner_key = next((c.runner_key for c in contexts if http_base(c.url) == known.url), "")
        return DevServer(known.url, known.key, api_key or runner_key or known.key)
    return await _start(stack, scratch, verbose=verbose)


async def answers(url: str, *, timeout_s: float) -> bool:
    """Whether an orchestrator is there."""
    transport = Transport(url, timeout_s=timeout_s, retries=0)
    try:
        answer: Any = await transport.ask("GET", "/healthz", key="")
    except ApiError:
        return False
    finally:
        await transport.close()
    return isinstance(answer.body, dict) and answer.body.get("status") == "ok"


async def _start(stack: AsyncExitStack, scratch: Path, *, verbose: bool) -> DevServer:
    env = {"PADDOCK_CONTEXTS": str(scratch / "contexts.json")}
    command = ("orchestrator", "--port", "0", "--state-dir", str(scratch / "state"))

    def show(line: str) -> None:
        if verbose:
            click.echo(click.style(f"┊ {line}", dim=True), err=True)

    child = await Child.start(command, env, show)
    stack.push_async_callback(child.stop)
    until = asyncio.get_running_loop().time() + START_TIMEOUT_S
    while asyncio.get_running_loop().time() < until:
        context = ContextFile.load(env).contexts.get("local")
        if context is not None and await answers(context.url, timeout_s=2.0):
            return DevServer(context.url, context.private_key, context.runner_key)
        if not child.running:
            await child.wait()
            last = child.last_line.removeprefix("Error: ")
            raise Failure(f"the orchestrator did not start: {last}")
        await asyncio.wait((child.reading,), timeout=0.1)
    raise Failure(f"the orchestrator did not start within {START_TIMEOUT_S:g} s")
