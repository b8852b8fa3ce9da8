"""When callers come: arrival times in seconds, in order. Pure; randomness comes in."""

from collections.abc import Callable, Iterator
from math import log1p


def ramp(rate: float, duration_s: float) -> Iterator[float]:
    """Evenly more: from none to `rate` a second at the end. About `rate * duration_s / 2`."""
    for n in range(int(rate * duration_s / 2)):
        # The n-th caller comes when the area under the line reaches n + 1/2.
        yield (2 * (n + 0.5) * duration_s / rate) ** 0.5


def poisson(rate: float, duration_s: float, random: Callable[[], float]) -> Iterator[float]:
    """Independent callers, `rate` a second on average. `random` is uniform in [0, 1)."""
    at = -log1p(-random()) / rate
    while at < duration_s:
        yield at
        at += -log1p(-random()) / rate


def burst(rate: float, duration_s: float, peak: int) -> Iterator[float]:
    """A steady `rate` with `peak` callers at once in the middle."""
    middle, gap = duration_s / 2, 1 / rate if rate > 0 else duration_s + 1
    steady = [n * gap for n in range(int(duration_s / gap))] if rate > 0 else []
    yield from (at for at in steady if at <= middle)
    yield from (middle for _ in range(peak))
    yield from (at for at in steady if at > middle)
