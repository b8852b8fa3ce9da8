"""Drain commands to an orchestrator: one request at a time takes all that have gathered.

A lone command leaves at once. Those that come while a request is under way ride in the next one, so
that a thousand runners are not a thousand requests.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

Command = dict[str, Any]
Waiting = tuple[Command, asyncio.Future[bool]]
Send = Callable[[list[Command]], Awaitable[Sequence[bool] | None]]

MOST_AT_ONCE = 100
"""In one request: some milliseconds of the orchestrator's loop."""
MOST_WAITING = 10_000


class Commands:
    """Used on one loop; to be closed.

    `send` says of each command, in their order, whether it was told, or None when the request
    failed. It raises nothing.
    """

    def __init__(self, send: Send, *, timeout_s: float) -> None:
        """`timeout_s`: how long a command may take altogether."""
        self._send = send
        self._timeout_s = timeout_s
        self._waiting: deque[Waiting] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._closed = False

    async def tell(self, command: Command) -> bool:
        """Whether it was told.

        False as well when there was no answer in time, when too many wait, and when the request
        that was under way failed: those that waited behind it would only fail one by one.
        """
        if self._closed or len(self._waiting) >= MOST_WAITING:
            return False
        told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, told))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        try:
            async with asyncio.timeout(self._timeout_s):
                return await told
        except TimeoutError:
            return False

    async def close(self) -> None:
        """What is not answered yet was not told."""
        self._closed = True
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])
        self._give_up([])

    async def _send_all(self) -> None:
        batch: list[Waiting] = []
        try:
            while batch := self._take():
                answers = await self._send([command for command, _ in batch])
                if answers is None:
                    return
                for (_, told), answer in zip(batch, answers, strict=True):
                    _answer(told, answer)
        finally:
            self._sending = None
            self._give_up(batch)

    def _give_up(self, batch: list[Waiting]) -> None:
        for _, told in (*batch, *self._waiting):
            _answer(told, False)
        self._waiting.clear()

    def _take(self) -> list[Waiting]:
        """The next ones whose callers still wait."""
        batch: list[Waiting] = []
        while self._waiting and len(batch) < MOST_AT_ONCE:
            command, told = self._waiting.popleft()
            if not told.done():
                batch.append((command, told))
        return batch


def _answer(told: asyncio.Future[bool], answer: bool) -> None:
    if not told.done():  # its caller was cancelled, or has given up
        told.set_result(answer)
