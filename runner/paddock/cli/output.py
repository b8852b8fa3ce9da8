"""Answers as tables for people, JSON and YAML for programs. Plain when nobody is at a terminal."""

import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import Console


def is_terminal() -> bool:
    """Whether a person sees our output."""
    return sys.stdout.isatty()


def console() -> "Console":
    """For live output. Honours NO_COLOR."""
    from rich.console import Console

    return Console(
        no_color=bool(os.environ.get("NO_COLOR")), highlight=False, soft_wrap=not is_terminal()
    )


def show(answer: Any, form: str, columns: Sequence[str], *, empty: str = "None.") -> None:
    """Show records as `form`: `table` with the named columns, `json`, or `yaml`.

    A single record as a table is one line for each column.
    """
    plain = msgspec.to_builtins(answer)
    if form == "json":
        click.echo(json.dumps(plain, indent=2, ensure_ascii=False))
    elif form == "yaml":
        import yaml

        click.echo(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True), nl=False)
    elif isinstance(plain, list | tuple):
        if plain:
            table(columns, [[cell(row.get(c)) for c in columns] for row in plain])
        else:
            click.echo(empty)
    else:
        width = max(len(c) for c in columns)
        for column in columns:
            click.echo(f"{title(column):<{width}}  {cell(plain.get(column))}".rstrip())


def tell(sentence: str, answer: Any, form: str) -> None:
    """What was done: in a sentence for people, as `json` or `yaml` for programs."""
    if form == "table":
        click.echo(sentence)
    else:
        show(answer, form, ())


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under headings: drawn at a terminal, aligned text elsewhere."""
    if is_terminal():
        console().print(drawn(columns, rows))
        return
    lines = [[title(c).upper() for c in columns], *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        click.echo("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip())


def drawn(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    """The same as a rich table."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        right = bool(rows) and all(_is_number(row[index]) for row in rows)
        made.add_column(title(column), justify="right" if right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(value) for value in row))
    return made


def cell(value: Any) -> str:
    """A value as people read it."""
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.1f}"
        case list() | tuple():
            return ", ".join(map(cell, value)) or "-"
        case dict():
            return ", ".join(f"{k}: {cell(v)}" for k, v in value.items()) or "-"
    return str(value).replace("\n", " ")


def title(column: str) -> str:
    return column.replace("_", " ")


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(".", "", 1).isdigit()
