"""`paddock agent`."""

import json
from pathlib import Path

import click

from paddock.cli import sessions as session_commands
from paddock.cli.data import read_data
from paddock.cli.options import ask, client_for, example, output_option, run_async, server_options
from paddock.cli.output import show, tell
from paddock.cli.status import show_status


@click.group(epilog=example('paddock agent start my-first-agent --data \'{"room": "my-room"}\''))
def agent() -> None:
    """Start, watch, stop and delete agents' sessions."""


@agent.command("list", epilog=example("paddock agent list"))
@output_option
@server_options
def list_(output: str, url: str | None, api_key: str | None) -> None:
    """List agents that have runners or a pool."""
    show_status(None, output, url, api_key)


@agent.command("status", epilog=example("paddock agent status my-first-agent"))
@click.argument("name")
@output_option
@server_options
def status(name: str, output: str, url: str | None, api_key: str | None) -> None:
    """Show one agent in full."""
    show_status(name, output, url, api_key)


@agent.command(
    "start",
    epilog=example(
        'paddock agent start my-first-agent --api-key pk_... --data \'{"room": "my-room"}\'',
        "paddock agent start my-first-agent --data-file data.json",
    ),
)
@click.argument("name")
@click.option("--data", metavar="JSON", help="What the agent finds in ctx.data (args.body).")
@click.option("--data-file", type=click.Path(path_type=Path), help="The same from a file.")
@click.option("--idempotency-key", help="Repeating a start with the same key starts nothing new.")
@output_option
@server_options
def start(
    name: str,
    data: str | None,
    data_file: Path | None,
    idempotency_key: str | None,
    output: str,
    url: str | None,
    api_key: str | None,
) -> None:
    """Start a session with a public key: the one given, else the context's default one."""
    body = read_data(data, data_file)
    started = ask(
        url,
        api_key,
        lambda client: client.start(name, body, idempotency_key=idempotency_key),
        public=True,
    )
    show(started, output, ("session_id", "agent", "text_url", "token"))


@agent.command(
    "stop",
    epilog=example(
        "paddock agent stop my-first-agent --session 3f6c…",
        "paddock agent stop my-first-agent --all",
    ),
)
@click.argument("name")
@click.option("--session", "--session-id", "session_id", help="End this session.")
@click.option("--all", "all_", is_flag=True, help="End every live session of the agent.")
@click.option("--reason", default="", help="Free words, kept as the end's detail.")
@output_option
@server_options
@run_async
async def stop(
    name: str,
    session_id: str | None,
    all_: bool,
    reason: str,
    output: str,
    url: str | None,
    api_key: str | None,
) -> None:
    """End one session, or with --all every live one. The agent itself stays."""
    if (session_id is not None) == all_:
        raise click.UsageError(
            f"which session? Name it with --session ID (see `paddock agent sessions {name}`), "
            "or end every one with --all"
        )
    async with client_for(url, api_key) as client:
        if session_id is not None:
            await client.sessions.end(session_id, reason)
            answer = {"agent": name, "sessions": [session_id]}
            tell(f"{session_id} is being ended", answer, output)
            return
        await client.agents.get(name)
        ended: list[str] = []
        before = None
        while True:
            page = await client.sessions.list(name, state="open", limit=500, before=before)
            for each in page.sessions:
                await client.sessions.end(each.session_id, reason)
                ended.append(each.session_id)
            before = page.next
            if before is None:
                break
    sentence = f"{len(ended)} session{'' if len(ended) == 1 else 's'} of {name} being ended"
    tell(sentence, {"agent": name, "sessions": ended}, output)


@agent.command("sessions", epilog=example("paddock agent sessions my-first-agent"))
@click.argument("name")
@click.option("--ended", is_flag=True, help="Those that are over instead of the live ones.")
@output_option
@server_options
def sessions(name: str, ended: bool, output: str, url: str | None, api_key: str | None) -> None:
    """List the agent's active sessions with their ids."""
    state = "ended" if ended else "open"
    page = ask(url, api_key, lambda c: c.sessions.list(name, state=state, limit=500))
    show(page.sessions, output, session_commands.COLUMNS, empty=f"No {state} sessions.")


@agent.command("delete", epilog=example("paddock agent delete my-first-agent"))
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
@server_options
def delete(name: str, yes: bool, output: str, url: str | None, api_key: str | None) -> None:
    """Block new sessions of an agent. Active ones go on: stop each with `agent stop`."""
    if not yes:
        click.confirm(f"Delete {name}? It will take no new sessions", abort=True, err=True)
    was = ask(url, api_key, lambda client: client.agents.delete(name))
    said = f"{json.dumps(name)[1:-1]} takes no new sessions; {was.in_flight} still active"
    tell(said, was, output)
