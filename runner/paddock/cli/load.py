"""`paddock load`: play many callers and measure."""

import asyncio
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from paddock.cli.failures import Failure
from paddock.cli.options import client_for, example, output_option, server_options
from paddock.cli.output import cell, console, show, title

if TYPE_CHECKING:
    from paddock.client.callers import Script, Tally
    from paddock.client.client import AsyncClient

MAX_CALLERS = 100_000
REDRAW_S = 0.2


@click.command(
    epilog=example(
        "paddock load my-first-agent --profile ramp --peak 20 --duration 60 --hold 15",
        "paddock load my-first-agent --profile burst --rate 1 --peak 30 -o json",
    )
)
@click.argument("agent")
@click.option(
    "--profile",
    type=click.Choice(["ramp", "poisson", "burst"]),
    default="poisson",
    show_default=True,
    help="ramp: evenly more; poisson: independent callers; burst: --peak at once midway.",
)
@click.option(
    "--rate", type=click.FloatRange(0, 1000), default=2.0, show_default=True, help="Callers/s."
)
@click.option(
    "--duration",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds in which callers come.",
)
@click.option(
    "--peak",
    type=click.IntRange(1, 50_000),
    help="burst: how many come at once. Else: calls at a time to reach; sets --rate.",
)
@click.option(
    "--hold",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    help="Seconds a call lasts at least.",
)
@click.option("--say", "lines", multiple=True, help="What each caller says; may be repeated.")
@click.option("--seed", type=int, help="Same callers again (poisson).")
@output_option
@server_options
def load(
    agent: str,
    profile: str,
    rate: float,
    duration: float,
    peak: int | None,
    hold: float,
    lines: tuple[str, ...],
    seed: int | None,
    output: str,
    url: str | None,
    api_key: str | None,
) -> None:
    """Play callers over real sockets, at their times whatever the others do (an open loop).

    Exits with 1 if a call was cut, lost or failed. Refusals are answers, not failures.
    """
    from paddock.client.callers import Script, Tally

    script = Script(hold_s=hold, lines=lines) if lines else Script(hold_s=hold)
    arrivals = list(times(profile, rate, duration, peak, hold, random.Random(seed)))
    if len(arrivals) > MAX_CALLERS:
        raise click.UsageError(f"{len(arrivals)} callers: at most {MAX_CALLERS} are played at once")
    tally = Tally()
    try:
        asyncio.run(_play(agent, arrivals, script, tally, url, api_key, quiet=output != "table"))
    finally:
        if tally.offered:
            report(tally.summary(), output)
    broken = tally.cut + tally.lost + tally.failed
    if broken:
        raise Failure(f"{broken} of {tally.offered} calls were cut, lost or failed")


def times(
    profile: str,
    rate: float,
    duration_s: float,
    peak: int | None,
    hold_s: float,
    chance: random.Random,
) -> Iterator[float]:
    """Arrival times of a profile. Raises `click.UsageError` for one that has no callers."""
    from paddock.client import arrivals

    if profile == "burst":
        return arrivals.burst(rate, duration_s, peak if peak is not None else 10)
    if peak is not None:
        # Calls at a time = rate x length (Little's law).
        rate = peak / max(hold_s, 1.0)
    if rate <= 0:
        raise click.UsageError(
            f"--rate: got {rate:g}, expected more than 0 with --profile {profile}"
        )
    if profile == "ramp":
        return arrivals.ramp(rate, duration_s)
    return arrivals.poisson(rate, duration_s, chance.random)


async def _play(
    agent: str,
    arrivals: list[float],
    script: "Script",
    tally: "Tally",
    url: str | None,
    api_key: str | None,
    *,
    quiet: bool,
) -> None:
    from paddock.client.client import AsyncClient

    known = client_for(url, api_key, public=True).server
    async with (
        AsyncClient(
            known.start_key, known.url, retries=0, timeout_s=90, max_connections=2000
        ) as client,
        asyncio.TaskGroup() as group,
    ):
        playing = group.create_task(_all(client, agent, arrivals, script, tally))
        if not quiet:
            await _watch(playing, len(arrivals), tally)


async def _all(
    client: "AsyncClient", agent: str, arrivals: list[float], script: "Script", tally: "Tally"
) -> None:
    from paddock.client.callers import play_all

    await play_all(client, agent, arrivals, script, tally)


async def _watch(playing: "asyncio.Task[None]", total: int, tally: "Tally") -> None:
    """A bar that moves until the last caller has hung up; nothing without a terminal."""
    screen = console()
    if not screen.is_terminal:
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=screen, transient=True) as bar:
        row = bar.add_task("", total=total)
        while not playing.done():
            over = tally.offered - tally.in_flight
            text = f"in flight {tally.in_flight}, refused {tally.refused}, cut {tally.cut}"
            bar.update(row, completed=over, description=text)
            await asyncio.wait((playing,), timeout=REDRAW_S)


def report(summary: dict[str, Any], output: str) -> None:
    """The account of a run, one line for each figure."""
    if output != "table":
        show(summary, output, ())
        return
    width = max(map(len, summary))
    for name, value in summary.items():
        if isinstance(value, dict) and name.endswith("_ms"):
            shown = ", ".join(f"{p} {ms:.1f}" for p, ms in value.items()) or "-"
        elif isinstance(value, dict):
            if not value:
                continue
            shown = cell(value)
        else:
            shown = str(value)
        click.echo(f"{title(name):<{width}}  {shown}")
