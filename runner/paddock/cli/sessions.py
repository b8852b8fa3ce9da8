"""`paddock sessions`."""

import click

from paddock.cli.options import ask, example, output_option, server_options
from paddock.cli.output import cell, show, table, tell

COLUMNS = (
    "session_id", "agent", "state", "runner", "requested_at", "duration_s", "end_reason",
    "end_detail",
)  # fmt: skip
DETAIL = (
    "session_id", "agent", "state", "runner", "attempt", "requested_at", "assigned_at",
    "started_at", "ended_at", "torn_down_at", "duration_s", "end_reason", "end_detail", "call",
    "data",
)  # fmt: skip
NONE = "No sessions."


@click.group(epilog=example("paddock sessions list --state open"))
def sessions() -> None:
    """List, show and end sessions."""


@sessions.command("list", epilog=example("paddock sessions list my-first-agent --state open"))
@click.argument("agent", required=False)
@click.option(
    "--state",
    type=click.Choice(["open", "ended", "assigned", "active", "ending"]),
    help="Only those in this state; open is every one that is not ended.",
)
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@click.option("--before", help="`next` of the page before (shown with -o json).")
@output_option
@server_options
def list_(
    agent: str | None,
    state: str | None,
    limit: int,
    before: str | None,
    output: str,
    url: str | None,
    api_key: str | None,
) -> None:
    """List sessions, newest first."""
    page = ask(
        url,
        api_key,
        lambda client: client.sessions.list(agent, state=state, limit=limit, before=before),
    )
    show(page.sessions if output == "table" else page, output, COLUMNS, empty=NONE)


@sessions.command("show", epilog=example("paddock sessions show 3f6c… -o yaml"))
@click.argument("session_id")
@output_option
@server_options
def show_(session_id: str, output: str, url: str | None, api_key: str | None) -> None:
    """Show one session with its events."""
    found = ask(url, api_key, lambda client: client.sessions.get(session_id))
    show(found, output, DETAIL)
    if output == "table" and found.events:
        click.echo()
        table(("at", "kind", "data"), [[e.at, e.kind, cell(e.data)] for e in found.events])


@sessions.command("end", epilog=example("paddock sessions end 3f6c… --reason 'spam'"))
@click.argument("session_id")
@click.option("--reason", default="", help="Free words, kept as the end's detail.")
@output_option
@server_options
def end(session_id: str, reason: str, output: str, url: str | None, api_key: str | None) -> None:
    """End a live session at once. Ending an ended one changes nothing."""
    was = ask(url, api_key, lambda client: client.sessions.end(session_id, reason))
    over = was.state == "ended" and was.end_reason
    how = f"had ended already: {was.end_reason}" if over else "is being ended"
    tell(f"{session_id} {how}", was, output)
