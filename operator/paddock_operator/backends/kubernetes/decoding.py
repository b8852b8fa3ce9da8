"""From bytes to dicts, never for long at a time."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from paddock_operator.backends.kubernetes.errors import ServerUnavailable

Object = dict[str, Any]

_AT_ONCE = 50
"""Pods decoded without a pause: some 4 ms."""


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects of a path at `resource_version`, or one page of them. They name no kind."""

    items: list[Object]
    resource_version: str


class _Page(msgspec.Struct):
    metadata: Mapping[str, Any]
    items: list[msgspec.Raw] | None = None


_page = msgspec.json.Decoder(_Page)
_object = msgspec.json.Decoder(dict[str, Any])


def decode(raw: bytes | msgspec.Raw) -> Object:
    """Raises ServerUnavailable if it is no object of JSON: something else answered."""
    try:
        return _object.decode(raw)
    except msgspec.DecodeError as why:
        raise _nonsense(raw) from why


async def decode_page(raw: bytes) -> tuple[Listing, str]:
    """A page, and the token of the next one, "" after the last."""
    try:
        page = _page.decode(raw)
    except msgspec.DecodeError as why:
        raise _nonsense(raw) from why
    items = []
    for count, item in enumerate(page.items or (), 1):
        items.append(decode(item))
        if count % _AT_ONCE == 0:
            await asyncio.sleep(0)
    listing = Listing(items, str(page.metadata.get("resourceVersion", "")))
    return listing, str(page.metadata.get("continue") or "")


def _nonsense(raw: bytes | msgspec.Raw) -> ServerUnavailable:
    return ServerUnavailable(f"an answer that is none of the API server's: {bytes(raw)[:200]!r}")
