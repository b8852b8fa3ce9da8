"""Handlers by event name: registered by decorator, called in order, kept from breaking the call."""

import inspect
import logging
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from paddock._exits import contained

log = logging.getLogger("paddock.hooks")

Handler = TypeVar("Handler", bound=Callable[..., Any])


class Hooks:
    """Handlers for a closed set of events. Plain functions and coroutine functions both work."""

    def __init__(self, names: Iterable[str]) -> None:
        self._handlers: dict[str, list[Callable[..., Any]]] = {name: [] for name in names}

    def on(self, event: str) -> Callable[[Handler], Handler]:
        """Decorator. Raises ValueError for an event that never happens here."""
        if event not in self._handlers:
            known = ", ".join(sorted(self._handlers))
            raise ValueError(f"on: got {event!r}, expected one of {known}")

        def register(handler: Handler) -> Handler:
            self._handlers[event].append(handler)
            return handler

        return register

    async def fire(self, event: str, *args: Any, **fields: Any) -> None:
        """Call the handlers. One that raises, or exits, is logged and the others still run."""
        for handler in self._handlers[event]:
            try:
                await contained(_called, handler, args, fields)
            except Exception:
                name = getattr(handler, "__name__", repr(handler))
                log.exception("hook_failed", extra={"hook": event, "handler": name})


async def _called(handler: Callable[..., Any], args: tuple[Any, ...], fields: Any) -> None:
    result = handler(*args, **fields)
    if inspect.isawaitable(result):
        await result
