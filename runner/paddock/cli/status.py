"""`paddock status`."""

import time
from collections.abc import Mapping
from typing import Any

import click

from paddock.cli.options import ask, example, output_option, server_options
from paddock.cli.output import cell, show, table

COLUMNS = (
    "agent", "in_flight", "capacity", "queued", "runners", "starting", "draining", "max_slots",
    "reason",
)  # fmt: skip
DETAIL = (
    "agent", "closed", "in_flight", "queued", "free", "capacity", "max_slots", "runners",
    "desired", "starting", "draining", "reason", "arrivals", "answered", "late", "refusals",
    "refused_for", "completed_last_hour", "failed_last_hour", "mean_call_duration_s", "lost",
)  # fmt: skip
RUNNERS = (
    "runner", "revision", "stage", "sessions", "capacity", "age_s", "pid", "cpu_s", "memory_mb",
)  # fmt: skip
NONE = "No agents. Start a runner: paddock dev agent.py, or paddock run FILE --agent NAME."


def show_status(agent: str | None, output: str, url: str | None, api_key: str | None) -> None:
    """One agent in full, or all in a line each."""
    if agent is None:
        show(ask(url, api_key, lambda c: c.agents.list()), output, COLUMNS, empty=NONE)
    else:
        shown = ask(url, api_key, lambda c: c.agents.get(agent))
        show(shown, output, DETAIL)
        if output == "table":
            _show_pool(shown.pool)


def _show_pool(pool: Mapping[str, Any]) -> None:
    """What the pool's own reconciler adds: its runners, and the last words of those that died."""
    if pool.get("problem"):
        click.echo(f"problem   {pool['problem']}")
    if pool.get("runners"):
        click.echo()
        runners = [{**r, "age_s": round(time.time() - r["created_at"])} for r in pool["runners"]]
        table(RUNNERS, [[cell(r.get(c)) for c in RUNNERS] for r in runners])
    for crash in pool.get("crashes", ()):
        click.echo(f"\n{crash['runner']} died {crash['ago_s']:.0f} s ago: {crash['exit']}")
        for line in crash["lines"]:
            click.echo(f"  | {line}")


@click.command(epilog=example("paddock status", "paddock status my-first-agent -o yaml"))
@click.argument("agent", required=False)
@output_option
@server_options
def status(agent: str | None, output: str, url: str | None, api_key: str | None) -> None:
    """Show agents with sessions, slots and the last scaling decision."""
    show_status(agent, output, url, api_key)
