"""Waiting for a condition, with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

PATIENCE_S = 45.0
"""How long a machine that is busy with other things may take for what is done at once."""


async def eventually(
    condition: Callable[[], Any], *, within_s: float = PATIENCE_S, what: str = ""
) -> Any:
    """The first truthy result of `condition`, awaited if it can be, until the deadline.

    Whoever did not get to look for so long looks once more after it. What takes long is looked at
    less often: looking takes time from what is waited for.
    """
    began = time.monotonic()
    while True:
        waited_s = time.monotonic() - began
        late = waited_s > within_s
        result = condition()
        found = await result if isinstance(result, Awaitable) else result
        if found:
            return found
        if late:
            raise AssertionError(f"{what or condition} did not come within {within_s:g} s")
        await asyncio.sleep(min(max(0.02, waited_s / 10), 0.2))
