"""`paddock call`."""

import sys
from pathlib import Path

import click

from paddock.cli.conversation import TypedLines, converse
from paddock.cli.data import read_data
from paddock.cli.failures import FAILED
from paddock.cli.options import client_for, example, run_async, server_options

_BROKEN = frozenset({"error", "runner_lost", "start_timeout", "drain_timeout"})


@click.command(
    epilog=example(
        "paddock call my-first-agent",
        "paddock call my-first-agent --say 'Hello' --say 'Good bye'",
        "echo 'Hello' | paddock call my-first-agent --data '{\"name\": \"Ada\"}'",
    )
)
@click.argument("agent")
@click.option("--data", metavar="JSON", help="What the agent finds in ctx.data.")
@click.option("--data-file", type=click.Path(path_type=Path), help="The same from a file.")
@click.option("--say", "lines", multiple=True, help="Say this instead of asking; may be repeated.")
@server_options
@run_async
async def call(
    agent: str,
    data: str | None,
    data_file: Path | None,
    lines: tuple[str, ...],
    url: str | None,
    api_key: str | None,
) -> int:
    """Start a session and talk to the agent. Ctrl-D hangs up.

    Lines are read from standard input; when that is no terminal, each waits for its answer.
    Exits with 1 if the call broke.
    """
    from paddock.client.text import TextChannel

    body = read_data(data, data_file)
    at_terminal = sys.stdin.isatty() and not lines
    async with client_for(url, api_key, public=True) as client:
        started = await client.start(agent, body)
    click.echo(click.style(f"[session {started.session_id}]", dim=True))
    async with TextChannel.connect(started.text_url, started.token) as channel:
        ending = await converse(channel, lines or TypedLines(), scripted=not at_terminal)
    return FAILED if ending.reason in _BROKEN else 0
