"""A runner's control socket: ordered both ways; what is under way when it breaks is lost."""

import asyncio
from collections.abc import Callable
from typing import Any

from fakes.simulated.chaos import Chaos

Hear = Callable[[Any], None]


class Wire:
    """`up` hears what the runner says, `down` what the orchestrator does, each a little later."""

    def __init__(self, chaos: Chaos, up: Hear, down: Hear, closed: Callable[[], None]) -> None:
        self._chaos = chaos
        self._hear = (up, down)
        self._closed = closed
        self._last = [0.0, 0.0]
        self.alive = True

    def to_server(self, frame: Any) -> None:
        self._send(0, frame)

    def to_runner(self, frame: Any) -> None:
        self._send(1, frame)

    def _send(self, way: int, frame: Any) -> None:
        loop = asyncio.get_running_loop()
        at = max(self._last[way] + 1e-6, loop.time() + self._chaos.sometime(0.02, 5.0))
        self._last[way] = at
        loop.call_at(at, self._arrive, way, frame)

    def _arrive(self, way: int, frame: Any) -> None:
        if self.alive:
            self._hear[way](frame)

    def cut(self) -> None:
        """Both ends notice."""
        if self.alive:
            self.alive = False
            self._closed()
