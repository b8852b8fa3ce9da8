"""From a JSON Schema of ours to the structural schema that a custom resource definition needs.

References are put in their place, optional fields are left out instead of null, sizes become
int-or-string, and each field keeps its description.
"""

from collections.abc import Collection, Mapping
from typing import cast

from paddock_operator.model.quantity import EXPECTED, LARGEST, PERCENT_PATTERN
from paddock_operator.model.schema import Node

_KEPT = (
    "type",
    "format",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "maxProperties",
)
_SIZE = f"type(self) == int ? self >= 0 && self <= {LARGEST} : self.matches(r'{PERCENT_PATTERN}')"


class Structural:
    """Translates one JSON Schema.

    `keys` has the key of each list whose items are told apart by one field, by dotted path.
    `unpatterned` are the paths whose pattern a rule of the whole object states in better words.
    `undefaulted` are the paths below which an API server fills nothing in.
    """

    def __init__(
        self,
        schema: Node,
        *,
        keys: Mapping[str, str],
        unpatterned: Collection[str] = (),
        undefaulted: Collection[str] = (),
    ) -> None:
        self._schema = schema
        self._definitions = cast("dict[str, Node]", schema.get("$defs", {}))
        self._keys = keys
        self._unpatterned = unpatterned
        self._undefaulted = undefaulted

    def at(self, path: str) -> Node:
        """The structural schema of the field at the dotted `path`; "" is the whole."""
        node = self._schema
        for name in path.split(".") if path else ():
            node = self._resolved(cast("dict[str, Node]", self._resolved(node)["properties"])[name])
        return self._translated(node, path)

    def _translated(self, field: Node, path: str, *, in_list: bool = False) -> Node:
        node = self._resolved(field)
        made: Node = {"description": _sentence(node)} if "description" in node else {}
        if _is_size(node):
            made |= _size(in_list=in_list)
        else:
            made |= self._limits(node, path)
            made |= self._inside(node, path, in_list=in_list)
        if node.get("default") is not None and not self._bare(path):
            made["default"] = node["default"]
        return made

    def _limits(self, node: Node, path: str) -> Node:
        limits = {word: node[word] for word in _KEPT if word in node}
        if "const" in node:
            limits["enum"] = [node["const"]]
        if "exclusiveMinimum" in node:
            limits |= {"minimum": node["exclusiveMinimum"], "exclusiveMinimum": True}
        if path in self._unpatterned:
            limits.pop("pattern", None)
        return limits

    def _inside(self, node: Node, path: str, *, in_list: bool) -> Node:
        inside: Node = {}
        if node.get("type") == "array":
            inside["items"] = self._translated(
                cast("Node", node["items"]), f"{path}[]", in_list=True
            )
            inside["x-kubernetes-list-type"] = "map" if path in self._keys else "atomic"
            if path in self._keys:
                inside["x-kubernetes-list-map-keys"] = [self._keys[path]]
        if "properties" in node:
            inside["properties"] = {
                name: self._translated(below, f"{path}.{name}".lstrip("."), in_list=in_list)
                for name, below in cast("dict[str, Node]", node["properties"]).items()
            }
            if node.get("required"):
                inside["required"] = node["required"]
        others = node.get("additionalProperties")
        if others is True:
            inside["x-kubernetes-preserve-unknown-fields"] = True
        elif isinstance(others, dict):
            inside["additionalProperties"] = self._translated(others, f"{path}{{}}")
        return inside

    def _bare(self, path: str) -> bool:
        return any(at in ("", path) or path.startswith(f"{at}.") for at in self._undefaulted)

    def _resolved(self, field: Node) -> Node:
        """The field with references and "or null" resolved; its own words win."""
        node = dict(field)
        choices = [c for c in cast("list[Node]", node.get("anyOf", [])) if c.get("type") != "null"]
        if len(choices) == 1:
            del node["anyOf"]
            return {**self._resolved(choices[0]), **node}
        if "$ref" in node:
            name = str(node.pop("$ref")).rpartition("/")[2]
            return {**self._resolved(self._definitions[name]), **node}
        if choices:
            node["anyOf"] = choices
        return node


def _is_size(node: Node) -> bool:
    choices = cast("list[Node]", node.get("anyOf", []))
    return {choice.get("type") for choice in choices} == {"integer", "string"}


def _size(*, in_list: bool) -> Node:
    """A number or a percentage. In lists keywords say so: a rule would be too costly there."""
    size: Node = {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
    }
    if in_list:
        return size | {"pattern": PERCENT_PATTERN, "minimum": 0, "maximum": LARGEST}
    return size | {"x-kubernetes-validations": [{"rule": _SIZE, "message": EXPECTED}]}


def _sentence(node: Node) -> str:
    return " ".join(str(node["description"]).split("\n\n")[0].split())
