"""The arrival rate, over the longest recent window in which it has not changed."""

from array import array
from typing import Final

LONGEST_WINDOW_S: Final = 1280
SHORTEST_WINDOW_S: Final = 5
_WINDOWS: Final = (640, 320, 160, 80, 40, 20, 10, 5)
_SLOTS: Final = LONGEST_WINDOW_S + 1

_SILENCE: Final = array("d", bytes(8 * _SLOTS))
"""The ring of every pool to which nobody comes. Ten kilobytes, and never written."""

_CHANGE: Final = 4.5
"""Standard deviations that count as a change; 3 would start many runners on false alarms."""


class ArrivalRate:
    """Cumulative arrivals per second of the last twenty minutes, and the rate they support.

    The window halves for as long as the newer half disagrees with the older part by more than
    chance allows (a two-sample test on over-dispersed Poisson counts). A tick costs a fixed
    number of steps, whatever the load.
    """

    __slots__ = ("_arrived", "_first", "_ring", "_second", "_total", "rate", "window_s")

    def __init__(self) -> None:
        self._ring = _SILENCE
        self._total = 0.0
        self._arrived = 0
        self._first: int | None = None
        self._second = 0
        self.rate = 0.0
        """Arrivals per second."""
        self.window_s = float(SHORTEST_WINDOW_S)
        """What `rate` was measured over."""

    def add(self, now: float, arrivals: int, *, at_once: bool = False) -> None:
        """Count `arrivals` since the previous call; the first call only sets the beginning.

        After a gap they are spread evenly over it, or with `at_once` put at its end.
        """
        second = int(now)
        if self._first is None:
            self._first = self._second = self._arrived = second
            return
        if arrivals:
            self._arrived = second
            if self._ring is _SILENCE:
                self._ring = array("d", _SILENCE)
        elif second - self._arrived > LONGEST_WINDOW_S:
            self._ring, self._total = _SILENCE, 0.0
        if self._ring is not _SILENCE:
            self._count(second, arrivals, at_once=at_once)
        self._second = max(self._second, second)

    def _count(self, second: int, arrivals: int, *, at_once: bool) -> None:
        ring, before = self._ring, self._second
        gap = second - before
        if gap > 1:
            total, step = self._total, 0.0 if at_once else arrivals / gap
            for i in range(max(1, gap - _SLOTS + 1), gap):
                ring[(before + i) % _SLOTS] = total + step * i
        self._total += arrivals
        ring[max(before, second) % _SLOTS] = self._total

    def estimate(self, dispersion: float) -> None:
        """Renew `rate` and `window_s`."""
        seen = self._second - (self._first or 0)
        window = LONGEST_WINDOW_S if seen > LONGEST_WINDOW_S else seen
        ring, total, second = self._ring, self._total, self._second
        count = total - ring[(second - window) % _SLOTS]
        for shorter in _WINDOWS:
            if shorter >= window:
                continue
            recent = total - ring[(second - shorter) % _SLOTS]
            expected = (count - recent) * shorter / (window - shorter)
            off = recent - expected
            if -2.0 <= off <= 2.0:
                continue
            variance = dispersion * (expected + recent * shorter / window) + 1.0
            if off * off > _CHANGE * _CHANGE * variance:
                count, window = recent, shorter
        # A pool that is seconds old has no rate yet: dividing by one second would invent one.
        self.window_s = float(max(window, SHORTEST_WINDOW_S))
        self.rate = count / self.window_s

    def recent(self, seconds: int) -> float | None:
        """Arrivals of the last `seconds`; None until so much was seen."""
        if self._second - (self._first or 0) < seconds:
            return None
        return self._total - self._ring[(self._second - seconds) % _SLOTS]
