"""`paddock top`."""

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from paddock.cli.options import client_for, example, output_option, run_async, server_options
from paddock.cli.output import console, drawn, show, table

if TYPE_CHECKING:
    from paddock.client.records import Agent

COLUMNS = (
    "agent", "in_flight", "slots", "queued", "starting", "draining", "refused", "history",
    "last_decision",
)  # fmt: skip
_BARS = "▁▂▃▄▅▆▇█"
HISTORY = 30


@click.command(epilog=example("paddock top", "paddock top my-first-agent --once"))
@click.argument("agent", required=False)
@click.option("--every", type=click.FloatRange(0.2, 60), default=1.0, show_default=True)
@click.option("--once", is_flag=True, help="Print one frame and leave; -o json and yaml do, too.")
@output_option
@server_options
@run_async
async def top(
    agent: str | None,
    every: float,
    once: bool,
    output: str,
    url: str | None,
    api_key: str | None,
) -> None:
    """Watch agents: slots, calls in flight, queue, starts, drains, decisions. q leaves."""
    history = History()
    async with client_for(url, api_key) as client:

        async def agents() -> "Sequence[Agent]":
            return [await client.agents.get(agent)] if agent else await client.agents.list()

        async def look() -> "list[list[str]]":
            return [history.row(each) for each in await agents()]

        if output != "table":
            show(await agents(), output, ())
            return
        first = await look()
        if once or not console().is_terminal:
            table(COLUMNS, first) if first else click.echo("No agents.")
            return
        from rich.live import Live

        with _quit_key() as left, Live(frame(first), console=console(), screen=True) as live:
            while not left.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(every):
                        await left.wait()
                live.update(frame(await look()))


@dataclass(slots=True)
class History:
    """The latest figures of each agent."""

    seen: dict[str, deque[int]] = field(default_factory=dict)

    def row(self, agent: "Agent") -> list[str]:
        """The agent's line, its newest figure added to what is drawn."""
        latest = self.seen.setdefault(agent.agent, deque(maxlen=HISTORY))
        latest.append(agent.in_flight)
        return [
            agent.agent + (" (deleted)" if agent.closed else ""),
            str(agent.in_flight),
            f"{agent.capacity}/{agent.max_slots}",
            str(agent.queued),
            str(agent.starting),
            str(agent.draining),
            str(agent.refusals),
            sparkline(latest, max(agent.capacity, 1)),
            agent.reason or "-",
        ]


def sparkline(values: "deque[int] | list[int]", full: int) -> str:
    """One character a value, the tallest for `full` or the largest."""
    tallest = max(full, *values, 1)
    return "".join(_BARS[round(v / tallest * (len(_BARS) - 1))] for v in values)


def frame(rows: list[list[str]]) -> Any:
    if not rows:
        from rich.text import Text

        return Text("No agents yet. q leaves.")
    return drawn(COLUMNS, rows)


@contextlib.contextmanager
def _quit_key() -> "Iterator[asyncio.Event]":
    """An event that is set when somebody presses q. Without a terminal nobody does."""
    left = asyncio.Event()
    if os.name != "posix" or not sys.stdin.isatty():
        yield left
        return
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    loop = asyncio.get_running_loop()

    def pressed() -> None:
        if os.read(terminal, 16).lower().startswith(b"q"):
            left.set()

    tty.setcbreak(terminal)
    loop.add_reader(terminal, pressed)
    try:
        yield left
    finally:
        loop.remove_reader(terminal)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
