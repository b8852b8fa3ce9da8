"""From plain data to a valid object of one kind, or to the list of everything wrong with it."""

import copy
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from paddock_operator.model.documents import Path, dotted
from paddock_operator.model.problems import ABSENT, Problem
from paddock_operator.model.rule import Rule, broken
from paddock_operator.model.schema import fields_at, homes_of, plain_name

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Kind(Generic[M]):
    """A kind of object: its model, and the rules between its fields."""

    model: type[M]
    rules: tuple[Rule[M], ...]
    stand_ins: Mapping[str, object] = field(default_factory=dict)
    """Put where a required field is missing, so that the rules can be tried on the rest."""


_RULE_NAMES = {
    "missing": "required",
    "extra_forbidden": "unknown-field",
    "literal_error": "one-of",
    "string_pattern_mismatch": "pattern",
    "string_too_long": "length",
    "string_too_short": "length",
    "too_long": "max-items",
    "too_short": "min-items",
    "greater_than": "range",
    "greater_than_equal": "range",
    "less_than": "range",
    "less_than_equal": "range",
    "int_or_percent": "int-or-percent",
}
"""Names of the checks on single fields; anything else is a wrong type."""


def examine(
    kind: Kind[M], data: object, source: str, lines: Mapping[Path, int]
) -> M | list[Problem]:
    """The object that `data` describes, or all that is wrong with it, in the data's order.

    `lines` has the line of each value, as far as known.
    """
    try:
        parsed = kind.model.model_validate(data)
    except ValidationError as error:
        details = _told_once(error.errors(include_url=False, include_context=False))
        problems = [_field_problem(kind, detail, source, lines) for detail in details]
        return problems + _rules_on_the_rest(kind, data, details, source, lines)
    breaches = [_rule_problem(rule, data, source, lines) for rule in broken(kind.rules, parsed)]
    return breaches or parsed


def _told_once(details: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Without "too few" of a list whose items are there, but not valid."""
    places = [detail["loc"] for detail in details]
    return [
        detail
        for detail in details
        if detail["type"] != "too_short" or not any(_is_below(at, detail["loc"]) for at in places)
    ]


def _is_below(inner: tuple[str | int, ...], outer: tuple[str | int, ...]) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _rules_on_the_rest(
    kind: Kind[M],
    data: object,
    details: Sequence[ErrorDetails],
    source: str,
    lines: Mapping[Path, int],
) -> list[Problem]:
    """Breaches between fields that are each fine, although others are not.

    The bad fields are taken out, and rules which look at one of them are not tried.
    """
    bad = [dotted(_path(detail)) for detail in details]
    parsed = _without(kind, data, details)
    if parsed is None:
        return []
    return [
        _rule_problem(rule, data, source, lines)
        for rule in broken(kind.rules, parsed)
        if not any(_touches(field, bad) for field in (rule.field, *rule.reads))
    ]


def rest_of(kind: Kind[M], data: object) -> M | None:
    """What `data` describes without its bad fields, whatever the rules say of it; None when too
    much is bad."""
    try:
        return kind.model.model_validate(data)
    except ValidationError as error:
        return _without(kind, data, error.errors(include_url=False, include_context=False))


def _without(kind: Kind[M], data: object, details: Sequence[ErrorDetails]) -> M | None:
    rest = copy.deepcopy(data)
    for detail in details:
        _take_out(rest, _path(detail), kind.stand_ins)
    try:
        return kind.model.model_validate(rest)
    except ValidationError:
        return None


def _take_out(data: object, path: Path, stand_ins: Mapping[str, object]) -> None:
    """Remove the field at `path`; of a list the whole, as items have required fields."""
    index = next((at for at, step in enumerate(path) if isinstance(step, int)), len(path))
    path = path[:index]
    for step in path[:-1]:
        data = _below(data, step)
    if isinstance(data, dict) and path:
        data.pop(path[-1], None)
        if dotted(path) in stand_ins:
            data[path[-1]] = copy.deepcopy(stand_ins[dotted(path)])


def _touches(field: str, bad: Iterable[str]) -> bool:
    return any(
        field == other
        or field.startswith(f"{other}.")
        or other.startswith((f"{field}.", f"{field}["))
        for other in bad
    )


def _field_problem(
    kind: Kind[M], detail: ErrorDetails, source: str, lines: Mapping[Path, int]
) -> Problem:
    path = _path(detail)
    rule = _RULE_NAMES.get(detail["type"], "type")
    value = ABSENT if rule == "required" else detail["input"]
    if rule == "unknown-field":
        message, fix = "there is no such field", _better_name(kind.model, path)
    elif rule == "required":
        message, fix = "is required", _description(kind.model, path)
    elif value is None:
        message, fix = "must not be empty", "leave the line out for the default"
    else:
        message, fix = _expectation(detail["msg"]), _description(kind.model, path)
    return Problem(source, dotted(path), value, rule, message, fix, _line_of(path, lines))


def _rule_problem(rule: Rule[M], data: object, source: str, lines: Mapping[Path, int]) -> Problem:
    path: Path = tuple(rule.field.split("."))
    value = data
    for step in path:
        value = _below(value, step)
    return Problem(
        source, rule.field, value, rule.name, rule.message, rule.fix, _line_of(path, lines)
    )


def _path(detail: ErrorDetails) -> Path:
    # Errors in a key of a mapping carry a marker behind the key.
    return tuple(step for step in detail["loc"] if step != "[key]")


def _below(data: object, step: str | int) -> object:
    if isinstance(data, dict):
        return data.get(step, ABSENT)
    if isinstance(data, list) and isinstance(step, int) and step < len(data):
        return data[step]
    return ABSENT


def _line_of(path: Path, lines: Mapping[Path, int]) -> int | None:
    """The line of the value, or of the nearest object around it that is written."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


def _expectation(text: str) -> str:
    text = re.sub(r"^Tuple should have (at (?:least|most) \d+ items?) .*", r"\1", text)
    text = text.removeprefix("Input should be ").removeprefix("a valid ")
    return text if text.startswith("expected") else f"expected {text[:1].lower()}{text[1:]}"


def _description(model: type[BaseModel], path: Path) -> str:
    declared = fields_at(model, path[:-1]).get(str(path[-1])) if path else None
    return str(declared.get("description", "")).rstrip(".") if declared else ""


def _better_name(model: type[BaseModel], path: Path) -> str:
    name = str(path[-1])
    siblings = fields_at(model, path[:-1])
    near = did_you_mean(name, siblings)
    if near:
        return near
    homes = homes_of(model, name)
    if homes:
        return f"did you mean {' or '.join(homes[:3])}?"
    return f"known here: {', '.join(sorted(siblings))}" if siblings else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question that names the known word nearest to `word`; empty when none is near."""
    by_case = {plain_name(name): name for name in known}
    near = difflib.get_close_matches(plain_name(word), by_case, n=1, cutoff=0.75)
    return f"did you mean {by_case[near[0]]}?" if near else ""
