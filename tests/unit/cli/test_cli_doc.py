"""`docs/cli.md` has every command, with an example and its options."""

import re
from pathlib import Path

import click
import pytest

from paddock.cli.main import paddock

PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()


def commands() -> dict[str, click.Command]:
    """Every command that can be run, by its full name."""
    found: dict[str, click.Command] = {}

    def walk(command: click.Command, path: str) -> None:
        if not isinstance(command, click.Group):
            found[path] = command
            return
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            below = command.get_command(ctx, name)
            assert below is not None
            walk(below, f"{path} {name}")

    walk(paddock, "paddock")
    return found


def section(name: str) -> str:
    found = re.search(rf"^#+ `{re.escape(name)}`$(.*?)(?=^#+ |\Z)", PAGE, re.M | re.S)
    assert found is not None, f"no section `{name}`"
    return found[1]


@pytest.mark.parametrize("name", commands())
def test_every_command_has_a_section_with_an_example(name: str) -> None:
    assert re.search(rf"```console.*^\$.*{re.escape(name)}\b.*```", section(name), re.M | re.S)


@pytest.mark.parametrize("name", commands())
def test_every_option_of_a_command_is_mentioned(name: str) -> None:
    """Those that many commands share stand once, at the top of the page."""
    shared = PAGE.split("\n## Commands", 1)[0]
    options = [each for each in commands()[name].params if isinstance(each, click.Option)]
    missing = [each.opts[-1] for each in options if f"`{each.opts[-1]}" not in section(name)]

    assert [option for option in missing if f"`{option}" not in shared] == []


def test_page_has_no_command_that_is_gone() -> None:
    headings = set(re.findall(r"^#+ `(paddock [^`]+)`$", PAGE, re.M))

    assert headings == set(commands())
