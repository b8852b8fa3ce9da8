"""YAML or JSON text to plain data, refusing what would not survive the way to an API server."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import yaml

from paddock_operator.model.problems import ABSENT, Problem

Path = tuple[str | int, ...]

LARGEST_TEXT: Final = 1_500_000
"""Characters. An API server takes no larger object."""
LARGEST_TREE: Final = 200_000
"""Values after aliases are followed: a few lines of nested aliases can stand for billions."""
DEEPEST: Final = 100
"""Levels of nesting. Pod specifications need about a dozen; recursion elsewhere needs a bound."""

_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(
    _TAG + kind for kind in ("str", "int", "float", "bool", "null", "map", "seq", "merge", "value")
)


class _Loader(yaml.SafeLoader):
    """Without timestamps: JSON has none, so a date is the text it looks like."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TAG + "timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(slots=True)
class Document:
    """One document: its data, where each value stands, and what is wrong with it as text."""

    data: object
    lines: dict[Path, int] = field(default_factory=dict)
    """Line of each value, counted from 1; empty for JSON."""
    problems: list[Problem] = field(default_factory=list)


def dotted(path: Path) -> str:
    """`spec.rollout.steps[1].percent`"""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def read_documents(text: str, source: str) -> list[Document]:
    """All documents of `text` that are not empty. Never raises."""
    if len(text) > LARGEST_TEXT:
        return [_broken(source, "size", f"the file must be below {LARGEST_TEXT} characters")]
    if text.lstrip().startswith("{"):
        # JSON is nearly, but not quite, YAML: tabs and surrogate pairs differ.
        document = _read_json(text, source)
        if document is not None:
            return [document]
    return [one for one in _read_yaml(text, source) if one.problems or one.data is not None]


def _broken(source: str, rule: str, message: str, line: int | None = None) -> Document:
    return Document(None, problems=[Problem(source, "", ABSENT, rule, message, line=line)])


def _read_json(text: str, source: str) -> Document | None:
    repeated: list[str] = []

    def build(pairs: list[tuple[str, object]]) -> dict[str, object]:
        built: dict[str, object] = {}
        for key, value in pairs:
            if key in built:
                repeated.append(key)
            built[key] = value
        return built

    def refuse(constant: str) -> object:
        raise ValueError(constant)

    try:
        data = json.loads(text, object_pairs_hook=build, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None
    if _too_deep(data):
        return _broken(source, "size", f"nested more than {DEEPEST} levels deep")
    return Document(data, problems=[_duplicate(source, key, None) for key in repeated])


def _too_deep(data: object) -> bool:
    level = [data]
    for _ in range(DEEPEST):
        level = [
            below
            for each in level
            if isinstance(each, dict | list)
            for below in (each.values() if isinstance(each, dict) else each)
        ]
    return bool(level)


def _read_yaml(text: str, source: str) -> Iterator[Document]:
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                yield _convert(loader, node, source)
    except yaml.MarkedYAMLError as error:
        yield _syntax(error, source)
    except yaml.YAMLError as error:
        yield _broken(source, "yaml", f"not readable as YAML: {_first_line(error)}")
    except RecursionError:
        yield _broken(source, "yaml", "nested too deeply")
    except (ValueError, LookupError, AttributeError) as error:
        # The scanner trips over some malformed escapes and directives with plain exceptions.
        yield _broken(source, "yaml", f"not readable as YAML: {_first_line(error)}")


def _convert(loader: _Loader, node: yaml.Node, source: str) -> Document:
    document = Document(None)
    document.problems.extend(_Survey(source, document.lines).of(node))
    if document.problems:
        return document
    try:
        document.data = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        return _syntax(error, source)
    except (ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
        # A scalar that is not what its tag says: the constructors check little.
        return _broken(source, "yaml", f"not readable as YAML: {_first_line(error)}", _line(node))
    return document


def _syntax(error: yaml.MarkedYAMLError, source: str) -> Document:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return _broken(source, "yaml", f"not readable as YAML: {_first_line(error)}")
    what = error.problem or error.context or "syntax error"
    message = f"not readable as YAML: line {mark.line + 1}, column {mark.column + 1}: {what}"
    return _broken(source, "yaml", " ".join(message.split()), mark.line + 1)


def _first_line(error: Exception) -> str:
    # Escaped: a reader error quotes the character that cannot be printed.
    words = " ".join(str(error).split())[:120] or type(error).__name__
    return words.encode("ascii", "backslashreplace").decode()


def _line(node: yaml.Node) -> int | None:
    return node.start_mark.line + 1 if node.start_mark is not None else None


def _duplicate(source: str, key: str, line: int | None, path: Path = ()) -> Problem:
    return Problem(
        source,
        dotted(path) or key,
        ABSENT,
        "duplicate-key",
        f"the key {key!r} is written twice",
        "remove one of them",
        line,
    )


class _Survey:
    """One walk over a node tree: line numbers, repeated keys, and what JSON cannot say."""

    def __init__(self, source: str, lines: dict[Path, int]) -> None:
        self._source = source
        self._lines = lines
        self._left = LARGEST_TREE

    def of(self, node: yaml.Node, path: Path = ()) -> Iterator[Problem]:
        """The problems at and below `node`; stops quietly once the tree is found too large."""
        if self._left <= 0:
            return
        self._left -= 1
        if self._left == 0 or len(path) > DEEPEST:
            self._left = 0
            yield self._problem(node, (), "size", "too large, too deep, or endless by its aliases")
            return
        self._lines.setdefault(path, node.start_mark.line + 1)
        if node.tag not in _PLAIN_TAGS:
            yield self._problem(node, path, "yaml-tag", "only what JSON can say is allowed")
        elif isinstance(node, yaml.MappingNode):
            yield from self._mapping(node, path)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                yield from self.of(item, (*path, index))
        elif node.tag == _TAG + "float" and not _finite(node.value):
            yield self._problem(node, path, "yaml-tag", "expected a finite number")

    def _mapping(self, node: yaml.MappingNode, path: Path) -> Iterator[Problem]:
        seen: set[str] = set()
        for key, value in node.value:
            if key.tag == _TAG + "merge":
                yield from self.of(value, path)
                continue
            if not isinstance(key, yaml.ScalarNode) or key.tag != _TAG + "str":
                yield self._problem(key, path, "yaml-key", "keys must be text", "quote the key")
                continue
            if key.value in seen:
                line = key.start_mark.line + 1
                yield _duplicate(self._source, key.value, line, (*path, key.value))
            seen.add(key.value)
            yield from self.of(value, (*path, key.value))

    def _problem(
        self, node: yaml.Node, path: Path, rule: str, message: str, fix: str = ""
    ) -> Problem:
        value: object = node.value if isinstance(node, yaml.ScalarNode) else ABSENT
        return Problem(self._source, dotted(path), value, rule, message, fix, _line(node))


def _finite(text: str) -> bool:
    try:
        return math.isfinite(float(text.replace("_", "")))
    except ValueError:
        # Sexagesimal numbers are finite; `.inf` and `.nan` are not Python's spelling.
        return ":" in text
