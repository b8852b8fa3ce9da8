"""What a runner says of itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunnerStats:
    """A snapshot of one runner."""

    in_flight: int
    queued: int
    """Starts that wait for the pool's capacity."""
    capacity: int
    completed_last_hour: int
    failed_last_hour: int
    mean_call_duration_s: float
    """Over the calls that finished within the last hour, failed ones included."""
