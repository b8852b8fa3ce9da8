"""Waiting for a condition, with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any


async def eventually(
    condition: Callable[[], Any], *, within_s: float = 10.0, what: str = ""
) -> Any:
    """The first truthy result of `condition`, awaited if it can be, until the deadline."""
    until = time.monotonic() + within_s
    while True:
        result = condition()
        found = await result if isinstance(result, Awaitable) else result
        if found:
            return found
        if time.monotonic() > until:
            raise AssertionError(f"{what or condition} did not come within {within_s:g} s")
        await asyncio.sleep(0.02)
