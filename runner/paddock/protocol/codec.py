"""JSON text in, typed frames out: one decoder per direction, and errors that say what to mend."""

import re
from typing import Any, Generic, TypeVar

import msgspec
import msgspec.inspect

MAX_FRAME_BYTES = 1 << 20
"""Largest message either side accepts; the limit of the v2 runner's WebSocket library."""

_encode = msgspec.json.Encoder().encode
_PATH = re.compile(r" - at `(?:key in )?\$([^`]*)`")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_MISMATCH = re.compile(r"Expected `([^`]+)`, got `[^`]+`\Z")
_NOT_A_WORD = re.compile(r"Invalid enum value ")
_MISSING = re.compile(r"missing required field `([^`]+)`")

_KINDS = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}

F = TypeVar("F")


class ProtocolError(Exception):
    """A frame that breaks the protocol.

    `field` is a dotted path ("" for the whole frame), `value` what stood there, `expected` what
    should have.
    """

    def __init__(self, field: str, value: object, expected: str) -> None:
        self.field = field
        self.value = value
        self.expected = expected
        shown = repr(value)
        if len(shown) > 80:
            shown = shown[:77] + "..."
        super().__init__(f"{field or 'frame'}: got {shown}, expected {expected}")


class Unknown(msgspec.Struct, frozen=True):
    """A well-formed frame of a type this side does not know: to be ignored, never an error."""

    name: str


def encode(frame: msgspec.Struct) -> str:
    """The frame as one JSON text message."""
    return _encode(frame).decode()


class Direction(Generic[F]):
    """Decodes the frames that travel one way over one socket."""

    def __init__(self, frames: Any, tag_field: str) -> None:
        self._decode = msgspec.json.Decoder(frames).decode
        self._tag_field = tag_field
        members = getattr(frames, "__args__", None) or (frames,)
        self._members = {str(m.__struct_config__.tag): m for m in members}

    def parse(self, message: str | bytes) -> F | Unknown:
        """The frame in `message`; `Unknown` for a type not of this direction.

        Unknown fields are ignored. Raises `ProtocolError` for anything else that does not fit.
        """
        try:
            frame: F = self._decode(message)
            return frame
        except (msgspec.ValidationError, msgspec.DecodeError, UnicodeError, RecursionError) as why:
            return self._explain(message, why)

    def _explain(self, message: str | bytes, why: Exception) -> Unknown:
        if len(message) > MAX_FRAME_BYTES:
            expected = f"at most {MAX_FRAME_BYTES} bytes"
            raise ProtocolError("", f"{len(message)} bytes", expected) from None
        try:
            raw = msgspec.json.decode(message)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise ProtocolError("", message[:60], "one JSON object") from None
        if not isinstance(raw, dict):
            raise ProtocolError("", raw, "one JSON object") from None
        name = raw.get(self._tag_field)
        if not isinstance(name, str):
            raise ProtocolError(self._tag_field, name, "a frame name (string)") from None
        if name not in self._members:
            return Unknown(name)
        raise _located(raw, str(why), self._members[name]) from None


def _located(raw: dict[str, Any], why: str, frame: type[msgspec.Struct]) -> ProtocolError:
    """The decoder's complaint with its path walked, so that the offending value can be shown."""
    found = _PATH.search(why)
    path = found.group(1) if found else ""
    expected = why[: found.start()] if found else why
    steps = _STEP.findall(path)
    value: Any = raw
    for key, index in steps:
        if key and isinstance(value, dict):
            value = value.get(key)
        elif index.isdigit() and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
    missing = _MISSING.search(expected)
    if missing:
        field = f"{path}.{missing.group(1)}".lstrip(".")
        return ProtocolError(field, None, "a value: the field is required")
    if _NOT_A_WORD.match(expected):
        words = _words(msgspec.inspect.type_info(frame), [key for key, _ in steps if key])
        expected = f"one of {', '.join(map(repr, words))}"
    mismatch = _MISMATCH.match(expected)
    if mismatch:
        kinds = mismatch.group(1).split(" | ")
        expected = " or ".join(_KINDS.get(kind, kind) for kind in kinds)
    return ProtocolError(path.lstrip("."), value, expected.removeprefix("Expected "))


def _words(kind: msgspec.inspect.Type, names: list[str]) -> list[Any]:
    """The closed set of words that may stand at the end of this path of field names."""
    match kind:
        case msgspec.inspect.UnionType():
            return [word for option in kind.types for word in _words(option, names)]
        case msgspec.inspect.ListType():
            return _words(kind.item_type, names)
        case msgspec.inspect.StructType():
            fields = [f.type for f in kind.fields if names and f.encode_name == names[0]]
            return _words(fields[0], names[1:]) if fields else []
        case msgspec.inspect.LiteralType():
            return list(kind.values)
        case msgspec.inspect.EnumType():
            return [member.value for member in kind.cls]
    return []
