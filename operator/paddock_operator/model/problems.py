"""What is wrong with a manifest, one line each."""

from dataclasses import dataclass
from typing import Final

_LONGEST = 60


class _Absent:
    """Stands for "nothing was written there", where None is a value that may be written."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend. `str()` of it is one line."""

    source: str
    """The file, or "-" for standard input."""
    field: str
    """Dotted path as it was written: `spec.rollout.steps[1].percent`; "" is the whole file."""
    value: object
    """What stands there; ABSENT when nothing does."""
    rule: str
    """Name of the broken rule; stable, for documentation and tests."""
    message: str
    """What is expected."""
    fix: str = ""
    """How to mend it."""
    line: int | None = None
    """Counted from 1; None when it is not known."""

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        field = f" {self.field}" if self.field else ""
        value = "" if self.value is ABSENT else f" = {shown(self.value)}"
        where = f"{place}:{field}{value}:" if field or value else f"{place}:"
        fix = f"; {self.fix}" if self.fix else ""
        return f"{where} {self.message} ({self.rule}){fix}"


class ManifestError(ValueError):
    """A manifest that cannot be used, with every problem found in it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def shown(value: object) -> str:
    """A value for a message: on one line, printable and short."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    # Escapes what a terminal could not print, lone surrogates included.
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
