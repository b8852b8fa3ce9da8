"""Bounded waits that say what they waited for, with the log that may tell why."""

import time
from collections.abc import Callable
from pathlib import Path

TAIL_LINES = 25


class NotReady(Exception):
    """Something did not come about in time, or died meanwhile. The message ends with its log."""


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, indented under its name."""
    try:
        kept = log.read_text(errors="replace").splitlines()[-lines:]
    except OSError as error:
        kept = [f"(no log: {error.strerror})"]
    return "\n".join([f"the end of {log}:", *(f"  {line[:300]}" for line in kept)])


def wait_until(
    what: str,
    holds: Callable[[], bool],
    *,
    within_s: float,
    log: Path | None = None,
    alive: Callable[[], bool] = lambda: True,
    every_s: float = 0.05,
) -> float:
    """Wait until `holds`; how many seconds that took.

    Raises NotReady when `within_s` passed, and it did not hold after that, or as soon as `alive` is
    false.
    """
    began = time.monotonic()
    late = within_s <= 0
    while not holds():
        ended = not alive()
        if ended or late:
            why = "it ended" if ended else f"not within {within_s:g} s"
            raise NotReady(f"{what}: {why}" + (f"\n{tail(log)}" if log else ""))
        time.sleep(every_s)
        late = time.monotonic() - began > within_s
    return time.monotonic() - began
