"""`paddock runners`."""

import click

from paddock.cli.options import ask, example, output_option, server_options
from paddock.cli.output import show

COLUMNS = (
    "runner_id", "agent", "in_flight", "capacity", "connected", "suspect", "draining", "revision",
)  # fmt: skip
NONE = "No runners. Start one with `paddock run FILE --agent NAME`."


@click.command(epilog=example("paddock runners my-first-agent"))
@click.argument("agent", required=False)
@output_option
@server_options
def runners(agent: str | None, output: str, url: str | None, api_key: str | None) -> None:
    """List runners, of one agent or of all, with what they hold."""
    found = ask(url, api_key, lambda client: client.runners.list(agent))
    show(
        found, output, COLUMNS, empty="No runners. Start one with `paddock run FILE --agent NAME`."
    )
