"""`paddock context`."""

import os

import click

from paddock.cli.failures import NOT_FOUND, Failure
from paddock.cli.options import example, output_option
from paddock.cli.output import show
from paddock.client.contexts import Context, ContextFile
from paddock.client.server import checked_key, http_base


@click.group(epilog=example("paddock context use production"))
def context() -> None:
    """Choose which orchestrator is talked to, and with which keys."""


def masked(key: str) -> str:
    """Enough of a key to tell it from others."""
    return f"{key[:6]}…{key[-2:]}" if len(key) > 12 else ("set" if key else "")


def _plain(each: Context, current: str) -> dict[str, object]:
    return {
        "name": each.name,
        "current": each.name == current,
        "url": each.url,
        "private_key": masked(each.private_key),
        "public_key": masked(each.public_key),
        "runner_key": masked(each.runner_key),
    }


def _known(file: ContextFile, name: str) -> Context:
    found = file.contexts.get(name)
    if found is None:
        known = ", ".join(sorted(file.contexts)) or "none"
        raise Failure(f"no context {name!r}; known: {known}", NOT_FOUND)
    return found


@context.command(
    "add",
    epilog=example("paddock context add production --url https://paddock.example.com --key sk_…"),
)
@click.argument("name")
@click.option("--url", required=True, help="The orchestrator's address.")
@click.option("--key", "private_key", default="", help="Private key (sk_), to manage.")
@click.option("--public-key", default="", help="Public key (pk_), to start sessions.")
@click.option("--runner-key", default="", help="Runner key (rk_), to run runners.")
@click.option("--use/--no-use", "use_", default=True, help="Make it the current one.")
def add(
    name: str, url: str, private_key: str, public_key: str, runner_key: str, use_: bool
) -> None:
    """Add a context, or replace one of the same name."""
    file = ContextFile.load(os.environ)
    made = Context(
        name,
        http_base(url, "--url"),
        checked_key(private_key, "--key"),
        checked_key(public_key, "--public-key"),
        checked_key(runner_key, "--runner-key"),
    )
    file.put(made, use=use_)
    file.save()
    click.echo(f"{name} added" + (" and in use" if file.current == name else ""))


@context.command("list", epilog=example("paddock context list"))
@output_option
def list_(output: str) -> None:
    """List contexts. Keys are not shown in full."""
    file = ContextFile.load(os.environ)
    rows = [_plain(each, file.current) for each in file.contexts.values()]
    empty = "No contexts. `paddock orchestrator` makes one, or use `paddock context add`."
    show(rows, output, ("name", "current", "url", "private_key", "public_key"), empty=empty)


@context.command("use", epilog=example("paddock context use production"))
@click.argument("name")
def use(name: str) -> None:
    """Make a context the current one."""
    file = ContextFile.load(os.environ)
    file.current = _known(file, name).name
    file.save()
    click.echo(f"{name} is in use")


@context.command("show", epilog=example("paddock context show --reveal"))
@click.argument("name", required=False)
@click.option("--reveal", is_flag=True, help="Show the keys in full.")
@output_option
def show_(name: str | None, reveal: bool, output: str) -> None:
    """Show a context; the current one without a name."""
    file = ContextFile.load(os.environ)
    wanted = name or os.environ.get("PADDOCK_CONTEXT") or file.current
    if not wanted:
        raise Failure("no context is in use: add one with `paddock context add`", NOT_FOUND)
    found = _known(file, wanted)
    shown = _plain(found, file.current)
    if reveal:
        shown |= {k: getattr(found, k) for k in ("private_key", "public_key", "runner_key")}
    show(shown, output, tuple(shown))


@context.command("remove", epilog=example("paddock context remove production"))
@click.argument("name")
def remove(name: str) -> None:
    """Forget a context and its keys."""
    file = ContextFile.load(os.environ)
    _known(file, name)
    del file.contexts[name]
    if file.current == name:
        file.current = next(iter(file.contexts), "")
    file.save()
    click.echo(f"{name} removed" + (f"; {file.current} is in use" if file.current else ""))
