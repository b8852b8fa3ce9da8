"""`paddock status`."""

import click

from paddock.cli.options import ask, example, output_option, server_options
from paddock.cli.output import show

COLUMNS = (
    "agent", "in_flight", "capacity", "queued", "runners", "starting", "draining", "max_slots",
    "reason",
)  # fmt: skip
DETAIL = (
    "agent", "closed", "in_flight", "queued", "free", "capacity", "max_slots", "runners",
    "desired", "starting", "draining", "reason", "arrivals", "answered", "late", "refusals",
    "refused_for", "completed_last_hour", "failed_last_hour", "mean_call_duration_s", "lost",
    "pool",
)  # fmt: skip
NONE = "No agents. Start a runner: paddock dev agent.py, or paddock run FILE --agent NAME."


def show_status(agent: str | None, output: str, url: str | None, api_key: str | None) -> None:
    """One agent in full, or all in a line each."""
    if agent is None:
        show(ask(url, api_key, lambda c: c.agents.list()), output, COLUMNS, empty=NONE)
    else:
        show(ask(url, api_key, lambda c: c.agents.get(agent)), output, DETAIL)


@click.command(epilog=example("paddock status", "paddock status my-first-agent -o yaml"))
@click.argument("agent", required=False)
@output_option
@server_options
def status(agent: str | None, output: str, url: str | None, api_key: str | None) -> None:
    """Show agents with sessions, slots and the last scaling decision."""
    show_status(agent, output, url, api_key)
