"""From text to a valid AgentDeployment, or to the list of everything that is wrong with it."""

import copy
import difflib
from collections.abc import Iterable, Mapping, Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from paddock_operator.model.documents import Document, Path, dotted, read_documents
from paddock_operator.model.manifest import (
    API_VERSION,
    CONNECTION_KIND,
    KIND,
    AgentDeployment,
)
from paddock_operator.model.problems import ABSENT, ManifestError, Problem
from paddock_operator.model.rules import Rule, broken_rules, check_transition
from paddock_operator.model.schema import fields_at, homes_of, plain_name

__all__ = ["ManifestError", "Problem", "check_transition", "parse_manifest", "parse_object"]

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

_STAND_INS: Mapping[str, object] = {
    "apiVersion": API_VERSION,
    "kind": KIND,
    "metadata": {"name": "x"},
    "metadata.name": "x",
    "spec.sessionsPerRunner": 1,
    "spec.template": {"spec": {"containers": [{"name": "x"}]}},
    "spec.template.spec": {"containers": [{"name": "x"}]},
    "spec.template.spec.containers": [{"name": "x"}],
}
"""Put where a required field is missing, so that the rules can be tried on the rest."""


def parse_manifest(text: str, *, source: str = "-") -> AgentDeployment:
    """The one AgentDeployment in `text`, which is YAML (of several documents) or JSON.

    OrchestratorConnections may stand beside it and are left alone. Raises ManifestError with all
    problems found; nothing else.
    """
    documents = read_documents(text, source)
    problems = [problem for document in documents for problem in document.problems]
    pools: list[Document] = []
    for document in documents:
        if not document.problems:
            problems += _sort_in(document, pools, source)
    if not problems and len(pools) != 1:
        problems.append(_wrong_count(len(pools), source))
    parsed: AgentDeployment | None = None
    for pool in pools:
        found = _examine(pool.data, source, pool.lines)
        if isinstance(found, AgentDeployment):
            parsed = found
        else:
            problems += found
    if problems or parsed is None:
        raise ManifestError(tuple(problems))
    return parsed


def parse_object(data: object, *, source: str = "-") -> AgentDeployment:
    """An AgentDeployment from data that is already read, as the API server sends it."""
    found = _examine(data, source, {})
    if isinstance(found, AgentDeployment):
        return found
    raise ManifestError(tuple(found))


def _sort_in(document: Document, pools: list[Document], source: str) -> list[Problem]:
    """Put an AgentDeployment into `pools`; report a document that does not belong here."""
    line = document.lines.get(())
    if not isinstance(document.data, dict):
        message = f"expected an object with kind: {KIND}"
        return [Problem(source, "", document.data, "type", message, line=line)]
    kind = document.data.get("kind", ABSENT)
    if kind == KIND or (kind is ABSENT and "spec" in document.data):
        pools.append(document)
        return []
    if kind == CONNECTION_KIND:
        return []
    fix = _did_you_mean(str(kind), (KIND, CONNECTION_KIND)) or f"keep one {KIND} in the file"
    line = document.lines.get(("kind",), line)
    return [Problem(source, "kind", kind, "kind", f"expected {KIND}", fix, line)]


def _wrong_count(count: int, source: str) -> Problem:
    message = f"expected exactly one {KIND}, found {count}"
    fix = "put each into a file of its own" if count else f"add a document with kind: {KIND}"
    return Problem(source, "", ABSENT, "one-agent-deployment", message, fix)


def _examine(
    data: object, source: str, lines: Mapping[Path, int]
) -> AgentDeployment | list[Problem]:
    try:
        manifest = AgentDeployment.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        problems = [_field_problem(detail, source, lines) for detail in details]
        return problems + _rules_on_the_rest(data, details, source, lines)
    broken = [_rule_problem(rule, data, source, lines) for rule in broken_rules(manifest)]
    return broken or manifest


def _rules_on_the_rest(
    data: object, details: Sequence[ErrorDetails], source: str, lines: Mapping[Path, int]
) -> list[Problem]:
    """Breaches between fields that are each fine, although others are not.

    The bad fields are taken out, and rules which look at one of them are not tried.
    """
    bad = [dotted(_path(detail)) for detail in details]
    rest = copy.deepcopy(data)
    for detail in details:
        _take_out(rest, _path(detail))
    try:
        manifest = AgentDeployment.model_validate(rest)
    except ValidationError:
        return []
    return [
        _rule_problem(rule, data, source, lines)
        for rule in broken_rules(manifest)
        if not any(_touches(field, bad) for field in (rule.field, *rule.reads))
    ]


def _take_out(data: object, path: Path) -> None:
    """Remove the field at `path`; of a list the whole, as items have required fields."""
    index = next((at for at, step in enumerate(path) if isinstance(step, int)), len(path))
    path = path[:index]
    for step in path[:-1]:
        data = _below(data, step)
    if isinstance(data, dict) and path:
        data.pop(path[-1], None)
        if dotted(path) in _STAND_INS:
            data[path[-1]] = copy.deepcopy(_STAND_INS[dotted(path)])


def _touches(field: str, bad: Iterable[str]) -> bool:
    return any(
        field == other
        or field.startswith(f"{other}.")
        or other.startswith((f"{field}.", f"{field}["))
        for other in bad
    )


def _field_problem(detail: ErrorDetails, source: str, lines: Mapping[Path, int]) -> Problem:
    path = _path(detail)
    rule = _RULE_NAMES.get(detail["type"], "type")
    value = ABSENT if rule == "required" else detail["input"]
    if rule == "unknown-field":
        message, fix = "there is no such field", _better_name(path)
    elif rule == "required":
        message, fix = "is required", _description(path)
    elif value is None:
        message, fix = "must not be empty", "leave the line out for the default"
    else:
        message, fix = _expectation(detail["msg"]), _description(path)
    return Problem(source, dotted(path), value, rule, message, fix, _line_of(path, lines))


def _rule_problem(rule: Rule, data: object, source: str, lines: Mapping[Path, int]) -> Problem:
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
    text = text.removeprefix("Input should be ").removeprefix("a valid ")
    return text if text.startswith("expected") else f"expected {text[:1].lower()}{text[1:]}"


def _description(path: Path) -> str:
    declared = fields_at(path[:-1]).get(str(path[-1])) if path else None
    return str(declared.get("description", "")).rstrip(".") if declared else ""


def _better_name(path: Path) -> str:
    name = str(path[-1])
    siblings = fields_at(path[:-1])
    near = _did_you_mean(name, siblings)
    if near:
        return near
    homes = homes_of(name)
    if homes:
        return f"did you mean {' or '.join(homes[:3])}?"
    return f"known here: {', '.join(sorted(siblings))}" if siblings else ""


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    by_case = {plain_name(name): name for name in known}
    near = difflib.get_close_matches(plain_name(word), by_case, n=1, cutoff=0.75)
    return f"did you mean {by_case[near[0]]}?" if near else ""
