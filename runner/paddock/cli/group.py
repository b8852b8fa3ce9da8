"""The root command: subcommands loaded when used, failures as one line and an exit code."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from paddock.cli.failures import Failure, explain

INSTALL = "pip install 'paddock[all]'"
GROUP = "paddock.commands"


class RootGroup(click.Group):
    """Commands by name: our own as `module:attribute`, those of the extras as entry points.

    Help texts are kept here so that `--help` imports no command.
    """

    def __init__(
        self,
        *args: Any,
        own: dict[str, tuple[str, str]],
        extras: dict[str, str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._own = own
        self._extras = extras

    def list_commands(self, ctx: click.Context) -> list[str]:
        found = {point.name for point in entry_points(group=GROUP)}
        return sorted({*self._own, *self._extras, *found})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self._own:
            module, _, attribute = self._own[cmd_name][0].partition(":")
            command: click.Command = getattr(import_module(module), attribute)
            return command
        point = next((p for p in entry_points(group=GROUP) if p.name == cmd_name), None)
        if point is not None:
            return _loaded(point)
        if cmd_name in self._extras:
            return _missing(cmd_name, "it is not installed")
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        def line(name: str) -> tuple[str, str]:
            if name in self._own:
                return name, self._own[name][1]
            return name, self._extras.get(name, "(another package's)")

        with formatter.section("Commands"):
            formatter.write_dl([line(name) for name in self.list_commands(ctx)])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, say what failed in one line, and exit with the code that `--help` documents."""

        def run() -> Any:
            return super(RootGroup, self).main(args, prog_name, complete_var, False, **extra)

        if not standalone_mode:
            return run()
        try:
            result = run()
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader of our output has left: nobody is there to be told.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.exit(0)
        except (KeyboardInterrupt, click.Abort):
            sys.exit(130)
        except Exception as why:
            if os.environ.get("PADDOCK_DEBUG") == "1" and not isinstance(why, click.ClickException):
                raise
            failure = explain(why)
            failure.show()
            sys.exit(failure.exit_code)
        sys.exit(result if isinstance(result, int) else 0)


def _loaded(point: EntryPoint) -> click.Command:
    try:
        command: click.Command = point.load()
    except (ImportError, AttributeError) as why:
        if os.environ.get("PADDOCK_DEBUG") == "1":
            raise
        return _missing(point.name, str(why))
    return command


def _missing(name: str, why: str) -> click.Command:
    """Stands in for a command whose extra is not there."""

    def say() -> None:
        raise Failure(f"`paddock {name}` needs more than the base package ({why}): {INSTALL}")

    return click.Command(
        name,
        callback=say,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
