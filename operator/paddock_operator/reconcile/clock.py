"""What time it is, for whoever decides by it: one port, so that a test can be the one who says."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Both in seconds. `wall` is for what others read or what outlives the process, `mono` for the
    rest."""

    wall: Callable[[], float] = time.time
    mono: Callable[[], float] = time.monotonic


CLOCK = Clock()
"""The machine's."""
