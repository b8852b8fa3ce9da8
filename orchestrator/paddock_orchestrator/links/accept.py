"""What every socket handler needs of a raw ASGI connection."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

from paddock_orchestrator.links.outbox import Message, Receive

CLEAN_CODES = frozenset({1000, 1001})


class Closed(ConnectionError):
    """The peer closed, with this code; 1005 and 1006 are a connection that broke."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code

    @property
    def clean(self) -> bool:
        return self.code in CLEAN_CODES


def bearer(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The bearer key of a request or an upgrade, "" when there is none."""
    return bearer_of(header(headers, b"authorization"))


def header(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bytes:
    """The value of the first header of that name (lower case), b"" when there is none."""
    return next((value for name, value in headers if name == wanted), b"")


def bearer_of(authorization: bytes) -> str:
    """The key in the value of an `Authorization` header, "" for another kind."""
    kind, _, text = authorization.partition(b" ")
    return text.decode("latin-1").strip() if kind.lower() == b"bearer" else ""


def query(scope: Any) -> dict[str, str]:
    """Query parameters, the first value of each."""
    parsed = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return {name: values[0] for name, values in parsed.items()}


async def received(receive: Receive) -> str:
    """The next text message. Raises `Closed` when the peer is gone."""
    return text_of(await receive())


def text_of(message: Message) -> str:
    """A received message as text. Raises `Closed` when it says that the peer is gone."""
    if message["type"] != "websocket.receive":
        raise Closed(int(message.get("code") or 1005))
    text = message.get("text")
    if text is None:
        text = (message.get("bytes") or b"").decode("utf-8", "replace")
    return str(text)
