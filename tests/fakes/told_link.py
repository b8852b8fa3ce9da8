"""A link that says what a test wants it to, in the place of one to an orchestrator."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from paddock_operator.signals.silent import SilentLink


@dataclass
class ToldLink(SilentLink):
    """Hears the lines that are put into `lines`."""

    url: str
    api_key: str
    ca: bytes | None
    closed: bool = False
    lines: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    problem: str = ""
    heard: bool = False
    key_refused: bool = False
    declared: list[str] = field(default_factory=list)
    """Agents, in the order in which they were."""
    declarations: list[dict[str, Any]] = field(default_factory=list)
    """What was said of them."""

    async def follow(self, hear: Callable[[dict[str, Any]], None]) -> None:
        while True:
            hear(await self.lines.get())

    async def close(self) -> None:
        self.closed = True

    async def declare(self, agent: str, declaration: dict[str, Any]) -> bool | None:
        self.declared.append(agent)
        self.declarations.append(declaration)
        return False
