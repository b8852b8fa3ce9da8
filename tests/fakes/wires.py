"""A socket of a simulated network: ordered both ways, and everything in flight is lost with it."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Wire:
    """One connection. Each end learns of its loss by itself, at some later time."""

    number: int
    up: deque[Any] = field(default_factory=deque)
    """On the way to the orchestrator."""
    down: deque[Any] = field(default_factory=deque)
    """On the way to the runner; None is the orchestrator's close."""
    alive: bool = True
    server_knows: bool = False
    """The orchestrator has noticed that it is gone."""

    def to_server(self, frame: Any) -> None:
        if self.alive:
            self.up.append(frame)

    def to_runner(self, frame: Any) -> None:
        if self.alive:
            self.down.append(frame)

    def cut(self) -> None:
        self.alive = False
        self.up.clear()
        self.down.clear()
