"""What a rule between fields is: one row for the parser, the API server and the reference page."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rule(Generic[T]):
    """Something that must hold of an object whose fields are each valid by themselves."""

    name: str
    field: str
    """Where a breach is reported."""
    message: str
    check: Callable[[T], bool]
    """True when the rule holds."""
    fix: str
    reads: tuple[str, ...] = ()
    """Other fields that `check` looks at."""
    cel: str = ""
    """The same for an API server: `self` is the whole object, its defaults filled in, and of a
    rule on changes `oldSelf` the one before. Empty where the schema's keywords say it."""


def broken(rules: Iterable[Rule[T]], value: T) -> Iterator[Rule[T]]:
    """The rules that `value` breaks, in the table's order."""
    return (rule for rule in rules if not rule.check(value))
