"""The contract between `Session.run()` and a brain."""

import inspect
from collections.abc import AsyncIterator
from typing import Any, Protocol, cast, runtime_checkable


@runtime_checkable
class DialogAdapter(Protocol):
    """Streams a reply to each user turn."""

    def stream(
        self, text: str, context: Any = None, language: str | None = None
    ) -> AsyncIterator[str]:
        """The reply, in chunks as they become known. Closed early when the caller barges in."""
        ...


def as_adapter(brain: object) -> DialogAdapter:
    """The brain as an adapter. Raises TypeError, saying what is missing, if it is none."""
    stream = getattr(brain, "stream", None)
    if not callable(stream):
        raise TypeError(
            f"dialog_machine: got {type(brain).__name__}, expected an object with an async "
            "generator method stream(text, context=None, language=None)"
        )
    return cast("DialogAdapter", brain)


def stream_reply(adapter: DialogAdapter, text: str, language: str | None) -> AsyncIterator[str]:
    """Call `stream` with what it accepts: an adapter that knows no language is given none."""
    accepted = inspect.signature(adapter.stream).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    if "language" in accepted or takes_any:
        return adapter.stream(text, language=language)
    return adapter.stream(text)
