"""`paddock run`."""

import os
from pathlib import Path

import click

from paddock.cli.options import example, server_options


@click.command(
    epilog=example(
        "paddock run agent.py --agent my-first-agent --max-sessions 10",
        "PADDOCK_AGENT_ID=my-first-agent paddock run bot.py",
    )
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--agent", metavar="NAME", help="Agent to take calls for. Else PADDOCK_AGENT_ID.")
@click.option("--max-sessions", type=click.IntRange(1), help="Calls at a time. Default 50.")
@click.option("--permits-per-minute", type=click.IntRange(1), help="New calls a minute.")
@click.option(
    "--drain-timeout", type=click.FloatRange(0), help="Seconds calls get after SIGTERM. Default 60."
)
@click.option("--dev", is_flag=True, help="Register in the development pool NAME@dev.")
@server_options
def run(
    file: Path,
    agent: str | None,
    max_sessions: int | None,
    permits_per_minute: int | None,
    drain_timeout: float | None,
    dev: bool,
    url: str | None,
    api_key: str | None,
) -> None:
    """Run a runner from FILE, until SIGTERM or Ctrl-C, which drain it.

    FILE defines `async def bot(args)`, or one async function that takes a call's context, or
    makes an AgentRunner of its own.
    """
    from paddock.cli.agent_file import inspect_file, load_entrypoint, start_itself

    found = inspect_file(file)
    given = {
        "AGENT_ID": agent,
        "BASE_URL": url,
        "API_KEY": api_key,
        "MAX_SESSIONS": max_sessions,
        "DRAIN_TIMEOUT_S": drain_timeout,
        "DEV_MODE": "1" if dev else None,
    }
    # A file that makes its own runner reads these; the rest goes the same way.
    os.environ.update({f"PADDOCK_{k}": str(v) for k, v in given.items() if v is not None})
    if found.starts_itself:
        start_itself(found)
        return
    if not (os.environ.get("PADDOCK_AGENT_ID") or os.environ.get("UNPOD_AGENT_ID")):
        raise click.UsageError(
            f"which agent? `paddock run {file} --agent NAME`, or set PADDOCK_AGENT_ID"
        )
    entrypoint = load_entrypoint(found)
    from paddock.runner import AgentRunner

    AgentRunner(
        entrypoint,
        max_sessions=max_sessions or 50,
        permits_per_minute=permits_per_minute or 120,
        drain_timeout_s=60 if drain_timeout is None else drain_timeout,
    ).start()
