"""What keeps a pool from shrinking too soon."""

from collections import deque


class RecentPeak:
    """The highest of the values seen within a window; constant work per value on average."""

    __slots__ = ("_falling",)

    def __init__(self) -> None:
        self._falling: deque[tuple[float, int]] = deque()
        """Times and values, the values falling: what a later and higher one hides is dropped."""

    def add(self, value: int, now: float, window_s: float) -> tuple[int, float]:
        """The peak of the last `window_s` with `value`, and how long it will stay the peak."""
        falling = self._falling
        while falling and falling[-1][1] <= value:
            falling.pop()
        falling.append((now, value))
        while falling[0][0] < now - window_s:
            falling.popleft()
        since, peak = falling[0]
        return peak, since + window_s - now


class RestartGrace:
    """After a restart over running sessions nothing shrinks until a start-up time and a minute.

    What was seen before is gone, and a first look at a quiet second says little.
    """

    __slots__ = ("_begin", "_needed")

    MARGIN_S = 60.0

    def __init__(self, *, needed: bool) -> None:
        self._needed = needed
        self._begin: float | None = None

    def left(self, now: float, startup_s: float) -> float:
        """Seconds of grace that remain; 0 when there is none."""
        if not self._needed:
            return 0.0
        if self._begin is None:
            self._begin = now
        left = self._begin + startup_s + self.MARGIN_S - now
        if left <= 0.0:
            self._needed = False
            return 0.0
        return left


class Floor:
    """The size below which a pool that must not shrink is not brought.

    It is the size when that began: what is created meanwhile, as for a roll-out, does not raise it,
    else the pool would grow by what replaces it. While statistics are missing everything counts.
    """

    __slots__ = ("_level",)

    def __init__(self) -> None:
        self._level: int | None = None

    def at(self, present: int, *, frozen: bool, fresh: bool) -> int:
        """The floor for `present` runners; 0 while the pool may shrink."""
        if not frozen:
            self._level = None
            return 0
        if self._level is None or not fresh:
            self._level = max(self._level or 0, present)
        return self._level
