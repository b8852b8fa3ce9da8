"""`paddock version`."""

import click

from paddock import __version__
from paddock.cli.options import example


@click.command(epilog=example("paddock version"))
def version() -> None:
    """Print the version."""
    click.echo(f"paddock {__version__}")
