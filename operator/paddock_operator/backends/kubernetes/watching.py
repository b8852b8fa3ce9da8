"""What a watch says, line by line. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from paddock_operator.backends.kubernetes.errors import ServerUnavailable, error_of


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """ADDED, MODIFIED, DELETED with the object, or BOOKMARK: nothing changed up to its version."""

    type: str
    object: dict[str, Any]


class Lines:
    """Cuts what arrives into lines of any length. What comes after the last newline is kept."""

    def __init__(self) -> None:
        self._kept: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that are complete with `chunk`, without empty ones."""
        head, *rest = chunk.split(b"\n")
        self._kept.append(head)
        for part in rest:
            line = b"".join(self._kept)
            self._kept = [part]
            if line.strip():
                yield line


def event_of(line: bytes) -> WatchEvent:
    """Raises the KubeError an event of type ERROR means; Gone above all."""
    try:
        event = msgspec.json.decode(line, type=dict[str, Any])
        kind, content = event["type"], event["object"]
    except (msgspec.DecodeError, KeyError) as why:
        raise ServerUnavailable(f"a watch said what is no event: {line[:200]!r}") from why
    if kind == "ERROR":
        raise error_of(int(content.get("code") or 500), content)
    return WatchEvent(kind, content)
