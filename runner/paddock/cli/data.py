"""`--data` and `--data-file`: what a session is started with."""

import json
from pathlib import Path
from typing import Any

import click

from paddock.cli.failures import NOT_FOUND, Failure


def read_data(data: str | None, data_file: Path | None) -> Any:
    """The JSON that was given; {} when none was. Says where it is broken and what to do."""
    if data is not None and data_file is not None:
        raise click.UsageError("--data and --data-file: give one of them")
    if data_file is not None:
        try:
            text = data_file.read_text()
        except FileNotFoundError:
            raise Failure(f"--data-file: no file {str(data_file)!r}", NOT_FOUND) from None
        except (OSError, UnicodeDecodeError) as why:
            raise Failure(f"--data-file: {data_file} cannot be read: {why}") from None
        return _parsed(str(data_file), text)
    return {} if data is None else _parsed("--data", data)


def _parsed(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as why:
        near = text[max(0, why.pos - 12) : why.pos + 12] or text[-12:]
        raise click.UsageError(
            f"{where}: not JSON at line {why.lineno}, column {why.colno} (near {near!r}): "
            f"{why.msg}; {_fix(text)}"
        ) from None


def _fix(text: str) -> str:
    stripped = text.strip()
    if not stripped:
        return "an empty value is written {}"
    if "'" in text and '"' not in text:
        return 'JSON wants double quotes: --data \'{"room": "my-room"}\''
    if stripped.startswith("{") and '"' not in text:
        return "names need double quotes; put the whole in single quotes so the shell keeps them"
    return "put the whole in single quotes, names and texts in double quotes"
