"""`paddock completion`."""

import click
from click.shell_completion import get_completion_class

from paddock.cli.failures import Failure
from paddock.cli.options import example


@click.command(
    epilog=example('eval "$(paddock completion bash)"', "paddock completion fish | source")
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    kind = get_completion_class(shell)
    if kind is None:
        raise Failure(f"no completion for {shell}")
    click.echo(kind(ctx.find_root().command, {}, "paddock", "_PADDOCK_COMPLETE").source())
