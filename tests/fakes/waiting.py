"""Waiting for a condition, with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(
    condition: Callable[[], T | Awaitable[T]], *, within_s: float = 10.0, what: str = ""
) -> T:
    """The first truthy result of `condition`, asked again until the deadline."""
    until = time.monotonic() + within_s
    while True:
        result = condition()
        found = await result if isinstance(result, Awaitable) else result
        if found:
            return found
        if time.monotonic() > until:
            raise AssertionError(f"{what or condition} did not come within {within_s:g} s")
        await asyncio.sleep(0.02)
