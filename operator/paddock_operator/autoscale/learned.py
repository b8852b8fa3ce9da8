"""What policies learn, in a form that outlives the process; anything implausible is refused."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from paddock_operator.autoscale.estimates import EndHazard, Steering

_VERSION: Final = 1
_LARGEST: Final = 1e15


@dataclass(frozen=True, slots=True)
class HorizonLearned:
    """The estimates of a Horizon pool that take longest to find again."""

    ended: float
    exposure_s: float
    dispersion: float
    steering: float
    late: float
    startup_times_s: tuple[float, ...] = ()

    @classmethod
    def nothing(cls, mean_session_s: float) -> "HorizonLearned":
        """Where a new pool begins."""
        prior = EndHazard.expecting(mean_session_s)
        return cls(prior.ended, prior.exposure_s, dispersion=1.0, steering=0.0, late=0.0)

    @classmethod
    def from_json(cls, data: Mapping[str, object] | None) -> "HorizonLearned | None":
        """What `as_json` gave; None when any part of it is missing or implausible."""
        if data is None or data.get("version") != _VERSION:
            return None
        ended = _number(data.get("ended"), 0.5, _LARGEST)
        exposure_s = _number(data.get("exposureSeconds"), 0.0, _LARGEST)
        dispersion = _number(data.get("dispersion"), 0.0, 25.0)
        steering = _number(data.get("steering"), Steering.LOWEST, Steering.HIGHEST)
        late = _number(data.get("late"), 0.0, _LARGEST)
        startups = startup_times(data)
        if ended is None or exposure_s is None or dispersion is None:
            return None
        if steering is None or late is None or startups is None:
            return None
        return cls(ended, exposure_s, dispersion, steering, late, startups)

    def as_json(self) -> dict[str, object]:
        """Plain data for a file or a ConfigMap."""
        return {
            "version": _VERSION,
            "ended": self.ended,
            "exposureSeconds": self.exposure_s,
            "dispersion": self.dispersion,
            "steering": self.steering,
            "late": self.late,
            "startupSeconds": list(self.startup_times_s),
        }


def buffer_as_json(startup_times_s: list[float]) -> dict[str, object]:
    """What a Buffer pool keeps: start-up times, for the question whether it may sleep."""
    return {"version": _VERSION, "startupSeconds": startup_times_s}


def startup_times(data: Mapping[str, object] | None) -> tuple[float, ...] | None:
    """The start-up times in what any policy kept; None when they are missing or implausible."""
    if data is None or data.get("version") != _VERSION:
        return None
    written = data.get("startupSeconds")
    if not isinstance(written, list | tuple):
        return None
    numbers = tuple(_number(each, 0.0, 86_400.0) for each in written)
    times = tuple(each for each in numbers if each is not None)
    return times if len(times) == len(numbers) else None


def _number(value: object, low: float, high: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # The comparison also refuses NaN.
    return float(value) if low <= value <= high and math.isfinite(value) else None
