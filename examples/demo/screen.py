"""The demo on a terminal: a live picture; in a pipe: one plain line every two seconds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from show import Show

_BARS = " ▁▂▃▄▅▆▇█"
_COLOURS = {
    "serving": "green", "starting": "yellow", "cordoning": "magenta", "draining": "magenta",
    "drained": "blue", "terminating": "blue", "gone": "red",
}  # fmt: skip


@asynccontextmanager
async def drawn(show: "Show", console: Console) -> AsyncIterator[None]:
    """Draw the show until the block is left."""
    drawing = asyncio.create_task(_live(show, console) if console.is_terminal else _lines(show))
    try:
        yield
    finally:
        drawing.cancel()


async def _live(show: "Show", console: Console) -> None:
    with Live(_picture(show), console=console, refresh_per_second=8, transient=True) as live:
        while True:
            await asyncio.sleep(0.125)
            live.update(_picture(show))


async def _lines(show: "Show") -> None:
    while True:
        await asyncio.sleep(2.0)
        view = show.pool.get("view")
        if view is not None:
            tally = show.tally
            show.say(
                f"{view.in_flight:2} in flight, {view.queued:2} queued, "
                f"{len(show.pool.get('runners', []))} runners, {tally.completed} completed, "
                f"{tally.refused} refused, {tally.lost} lost, {tally.cut} cut | {view.reason}"
            )


def _picture(show: "Show") -> Panel:
    table = Table(box=None, padding=(0, 1), expand=True)
    for column in ("runner", "revision", "stage", "sessions", "pid"):
        table.add_column(column)
    for runner in show.pool.get("runners", []):
        colour = _COLOURS.get(runner["stage"], "white")
        held = runner["sessions"] or 0
        slots = "●" * held + "○" * max(0, runner["capacity"] - held)
        table.add_row(
            runner["runner"], runner["revision"], Text(runner["stage"], colour), slots,
            str(runner["pid"]),
        )  # fmt: skip
    view, tally = show.pool.get("view"), show.tally
    figures = Text(
        f"\n in flight {view.in_flight if view else 0:2}   queued {view.queued if view else 0:2}   "
        f"completed {tally.completed:3}   refused {tally.refused:2}   lost {tally.lost}   "
        f"cut {tally.cut}\n\n {sparkline(show.history, 20)}\n\n {view.reason if view else ''}"
    )
    title = f"paddock demo  {show.elapsed_s:4.0f} s  {show.act}"
    return Panel(Group(table, figures), title=title, border_style="cyan")


def sparkline(values: list[int], top: int, width: int = 70) -> str:
    """The latest values as bars, `top` being full."""
    scale = len(_BARS) - 1
    return "".join(_BARS[min(scale, round(v * scale / top))] for v in values[-width:])
