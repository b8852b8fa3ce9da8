"""`paddock version`."""

import click

from paddock import __version__
from paddock.cli.options import example, output_option
from paddock.cli.output import tell


@click.command(epilog=example("paddock version"))
@output_option
def version(output: str) -> None:
    """Print the version."""
    tell(f"paddock {__version__}", {"version": __version__}, output)
