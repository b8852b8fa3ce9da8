"""From what a policy wants to what it may have: limits, hold, late starts, missing statistics."""

from paddock_operator.autoscale.hold import Floor, RecentPeak
from paddock_operator.autoscale.limits import Limits
from paddock_operator.autoscale.sample import Decision, PoolSample


def settle(
    limits: Limits,
    sample: PoolSample,
    peak: RecentPeak,
    floor: Floor,
    *,
    wanted: int,
    because: str,
    now: float,
    hold_s: float,
    frozen: str = "",
) -> Decision:
    """The decision for `wanted` runners, which `because` explains.

    `frozen` says why the pool must not become smaller than it was; "" lets it. The target is
    always within the limits.
    """
    bounded = limits.clamp(wanted)
    held, left = peak.add(bounded, now, hold_s)
    present = sample.ready + sample.starting
    late = sample.overdue_starts
    # Late starts may still come, so they are not replaced where enough others are present.
    replaced = min(late, max(0, held - (present - late))) if late else 0
    target = min(limits.maximum, held + replaced)

    notes = [because]
    if wanted > limits.maximum:
        notes.append(f"limited to {limits.maximum} by maxRunners")
    elif wanted < limits.minimum:
        notes.append(f"raised to {limits.minimum} by minRunners")
    if held > bounded:
        notes.append(f"held at {held} for {left:.0f} s more")
    if replaced:
        notes.append(f"{replaced} more for {late} late to start")
    kept = min(limits.maximum, floor.at(present, frozen=bool(frozen), fresh=sample.fresh))
    if target < kept:
        target = kept
        notes.append(f"kept at {target} because {frozen}")
    return Decision(target, wanted, "; ".join(notes), _limit(limits, wanted, held + replaced))


def plural(runners: int) -> str:
    """`1 runner`, `2 runners`"""
    return f"{runners} runner" if runners == 1 else f"{runners} runners"


def _limit(limits: Limits, wanted: int, needed: int) -> str:
    if max(wanted, needed) > limits.maximum:
        return "AtMax"
    return "AtMin" if wanted < limits.minimum else ""
