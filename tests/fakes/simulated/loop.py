"""An event loop in virtual time: seconds pass only when nothing is left to do, and cost nothing."""

import asyncio
import selectors
from typing import Any


class VirtualLoop(asyncio.SelectorEventLoop):
    """Deterministic: no socket is ever ready, so only the order of what was scheduled counts."""

    def __init__(self) -> None:
        self._virtual_s = 0.0
        super().__init__(_NeverReady(self))

    def time(self) -> float:
        return self._virtual_s

    def pass_time(self, seconds: float) -> None:
        self._virtual_s += seconds


class _NeverReady(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everybody waits for somebody else")
        if timeout > 0:
            self._loop.pass_time(timeout)
        return []
