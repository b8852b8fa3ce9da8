"""Whether the operator is well, and whether it is ready. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Signs:
    """What is measured of the process. Seconds; None where there is nothing to measure."""

    loop_lag_s: float = 0.0
    """How late the event loop ran what was due, at worst of the last minute."""
    watch_silent_s: float | None = None
    """Since the last sign of life of the watches, bookmarks included; None before the first."""
    oldest_key_s: float | None = None
    """Age of the oldest queued key that could be worked on; None: none is queued."""
    leads: bool = False
    stands_by: bool = False
    """Another one leads, and the lease can be read."""
    watches_synced: bool = False
    """Every watch has had its first full list."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond these the process is beyond help, and should be restarted."""

    loop_lag_s: float = 30.0
    watch_silent_s: float = 600.0
    oldest_key_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Health:
    """The answer of a probe: each problem one sentence."""

    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def text(self) -> str:
        return "ok\n" if self.ok else "".join(f"{problem}\n" for problem in self.problems)


def liveness(signs: Signs, limits: Limits = Limits()) -> Health:
    """For /healthz: no says that only a restart can help."""
    problems = []
    if signs.loop_lag_s > limits.loop_lag_s:
        problems.append(
            f"the event loop was {signs.loop_lag_s:.1f} s late, at most {limits.loop_lag_s:.0f} s "
            "are fine"
        )
    if signs.watch_silent_s is not None and signs.watch_silent_s > limits.watch_silent_s:
        problems.append(
            f"the watches were silent for {signs.watch_silent_s:.0f} s, at most "
            f"{limits.watch_silent_s:.0f} s are fine"
        )
    if signs.oldest_key_s is not None and signs.oldest_key_s > limits.oldest_key_s:
        problems.append(
            f"a pool has waited for {signs.oldest_key_s:.0f} s, at most {limits.oldest_key_s:.0f} s"
            " are fine"
        )
    return Health(tuple(problems))


def readiness(signs: Signs) -> Health:
    """For /readyz: it sees what a leader sees, or waits for the one that leads to go."""
    if signs.watches_synced or signs.stands_by:
        return Health()
    if signs.leads:
        return Health(("the first lists are not complete",))
    return Health(("the lease is not held and cannot be read",))
