"""The manifest's JSON Schema, for editors, and the list of fields that "did you mean" uses."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.model.quantity import Size

Node = dict[str, object]


class _Generator(GenerateJsonSchema):
    """Writes sizes in defaults as they stand in manifests."""

    def encode_default(self, dft: object) -> object:
        return dft.as_json() if isinstance(dft, Size) else super().encode_default(dft)


def json_schema(model: type[BaseModel] = AgentDeployment) -> Node:
    """A JSON Schema (2020-12) of one object of `model`, with descriptions and defaults.

    It states what single fields allow; the rules between fields are not in it.
    """
    generated = model.model_json_schema(schema_generator=_Generator)
    schema = cast("Node", _tidy(generated))
    return {"$schema": _Generator.schema_dialect, "title": model.__name__, **schema}


def _tidy(node: object, *, names: bool = False) -> object:
    """Drop generated titles; give optional sections the default `{}`.

    `names` is true where the keys are field names, one of which may be "title" itself.
    """
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidied = {
        key: _tidy(value, names=not names and key in ("properties", "$defs"))
        for key, value in node.items()
        if names or key != "title"
    }
    properties = tidied.get("properties")
    if not names and isinstance(properties, dict):
        required = cast("list[str]", tidied.get("required", []))
        for name, field in properties.items():
            if "$ref" in field and name not in required:
                field["default"] = {}
    return tidied


@cache
def _whole(model: type[BaseModel]) -> Node:
    return json_schema(model)


def fields_at(model: type[BaseModel], path: Sequence[str | int]) -> Mapping[str, Node]:
    """The declared fields of the object at `path`, by name; empty where nothing is declared."""
    whole = _whole(model)
    node = whole
    for step in path:
        below = node.get("items") if isinstance(step, int) else _properties(node).get(step)
        if not isinstance(below, dict):
            return {}
        node = _resolve(below, whole)
    return _properties(node)


def homes_of(model: type[BaseModel], name: str) -> list[str]:
    """Dotted paths of all declared fields called `name`, for a field in the wrong place.

    Case and underscores do not count.
    """
    plain = plain_name(name)
    whole = _whole(model)
    paths = _paths(whole, "", whole)
    return [path for path in paths if plain_name(path.rpartition(".")[2]) == plain]


def plain_name(name: str) -> str:
    """A field's name without what people get wrong about its spelling."""
    return name.lower().replace("_", "").replace("-", "")


def _paths(node: Node, prefix: str, whole: Node) -> Iterator[str]:
    for name, field in _properties(node).items():
        path = f"{prefix}{name}"
        yield path
        yield from _paths(_resolve(field, whole), f"{path}.", whole)


def _properties(node: Node) -> dict[str, Node]:
    return cast("dict[str, Node]", node.get("properties", {}))


def _resolve(node: Node, whole: Node) -> Node:
    """Follow a reference, also that of an optional object."""
    for choice in cast("list[Node]", node.get("anyOf", [])):
        if "$ref" in choice:
            return _resolve(choice, whole)
    reference = node.get("$ref")
    if not isinstance(reference, str):
        return node
    return cast("dict[str, Node]", whole["$defs"])[reference.rpartition("/")[2]]
