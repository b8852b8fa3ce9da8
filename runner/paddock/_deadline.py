"""When what is left of the calls is ended at a drain, and when their agents hear of it."""

import asyncio
from collections.abc import Callable


def warning_due(seconds: float, warn_before_s: float) -> tuple[float, float] | None:
    """In how many seconds agents are warned, and how many they have then; None is never.

    Of a deadline that is nearer than its warning time they are told at once, and the truth.
    """
    left_s = min(seconds, warn_before_s)
    return (seconds - left_s, left_s) if left_s > 0 else None


class DrainDeadline:
    """One deadline at a time, the last one told.

    The pool's warning time comes with its commands. A signal, which carries none, is given the one
    that was heard last.
    """

    def __init__(self, end: Callable[[], None], warn: Callable[[float], None]) -> None:
        """`end` is called at the deadline, `warn` before it with the seconds that are left."""
        self._end, self._warn = end, warn
        self._warn_before_s = 0.0
        self._timers: list[asyncio.TimerHandle] = []

    def told(self, seconds: float | None, warn_before_s: float) -> None:
        """A drain command: None is no deadline."""
        self._warn_before_s = warn_before_s
        self.clear()
        if seconds is not None:
            self._arm(seconds)

    def signalled(self, seconds: float) -> None:
        """The process is to end."""
        self.clear()
        self._arm(seconds)

    def clear(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _arm(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(seconds, self._end))
        due = warning_due(seconds, self._warn_before_s)
        if due is not None:
            in_s, left_s = due
            self._timers.append(loop.call_later(in_s, self._warn, left_s))
