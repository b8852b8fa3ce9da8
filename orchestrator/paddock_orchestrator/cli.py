"""`paddock orchestrator`."""

import os
from pathlib import Path

import click

from paddock_orchestrator.main import CannotStart, serve
from paddock_orchestrator.settings import SettingError, Settings
from paddock_orchestrator.store.errors import StoreError


@click.command(
    epilog="Example: paddock orchestrator --port 8600 --state-dir ./state", no_args_is_help=False
)
@click.option("--host", help="Address to bind to. Loopback unless told otherwise.")
@click.option("--port", type=int, help="Port; 0 lets the system choose. Default 8600.")
@click.option("--state-dir", type=click.Path(path_type=Path), help="Where the database lives.")
@click.option(
    "--database-url",
    help="sqlite:///PATH or postgresql://...; default: a file in the state directory.",
)
@click.option("--database-wait-s", type=float, help="How long to wait for PostgreSQL. Default 60.")
@click.option("--public-url", help="URL that runners and callers elsewhere reach this server by.")
@click.option("--context-name", help="Name of the context the first keys are kept under.")
@click.option(
    "--keys-dir", type=click.Path(path_type=Path),
    help="A folder with the first keys in files apiKey, publicKey, runnerKey, as a mounted secret.",
)  # fmt: skip
@click.option("--retention-days", type=float, help="Delete ended sessions after this. Default 30.")
@click.option("--starts-per-s", type=float, help="Sustained starts a second for one key.")
@click.option("--starts-burst", type=float, help="Starts one key may ask for at once.")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="Default text.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="Default info."
)
def orchestrator(**options: object) -> None:
    """Run the session orchestrator: one process, one port, one database.

    The first start makes an organization and its keys; the command line on this machine finds
    them by itself. Every option is also PADDOCK_ORCHESTRATOR_<NAME> in the environment.
    """
    try:
        serve(Settings.from_env(os.environ, **options), os.environ)
    except (CannotStart, SettingError, StoreError, OSError) as why:
        raise click.ClickException(str(why)) from None
