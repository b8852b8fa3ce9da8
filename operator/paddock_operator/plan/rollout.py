"""The roll-out: runners of another revision are replaced without a caller missing their slots.

Surge: new runners are created above the target, up to `max_surge` of them and up to `max_surge`
above the maximum; old ones are drained as new ones prove ready. A roll-out that makes no progress
drains nothing more and leaves the old runners to serve. While scaling up is paused nothing is
rolled out either: a surge is growth.
"""

from dataclasses import dataclass

from paddock_operator.plan.roster import Roster
from paddock_operator.plan.view import FAILED, READY, PlanSettings, RunnerView


@dataclass(frozen=True, slots=True)
class Rollout:
    """What the roll-out asks of this plan, judged once before anything voluntary is decided."""

    surge: int
    """Runners above target and maximum that it allows now; 0 when nothing is rolled out."""
    active: bool
    """Runners of another revision give capacity and are to be replaced."""
    stalled: bool
    """New runners do not become ready: what starts cannot be counted on."""
    next_at: float | None
    """When a new runner counts as proven, or the roll-out as stalled."""


NO_ROLLOUT = Rollout(surge=0, active=False, stalled=False, next_at=None)


def judge_rollout(roster: Roster) -> Rollout:
    settings, now = roster.settings, roster.now
    if settings.rollout == "Paused" or growth_is_paused(settings) or not _has_old(roster):
        return NO_ROLLOUT
    groups = (roster.serving, roster.starting, roster.pending)
    active = any(is_old(roster, r) for group in groups for r in group.values())
    stall_at = _stalls_at(roster)
    times = [_seasoned_at(roster, r) for r in roster.serving.values() if not is_old(roster, r)]
    if stall_at is not None:
        times.append(stall_at)
    return Rollout(
        surge=settings.max_surge,
        active=active,
        stalled=stall_at is not None and now >= stall_at,
        next_at=min((at for at in times if at > now), default=None),
    )


def growth_is_paused(settings: PlanSettings) -> bool:
    return settings.paused in ("ScaleUp", "Scaling")


def is_old(roster: Roster, runner: RunnerView) -> bool:
    return runner.revision != roster.settings.revision


def proven(roster: Roster) -> list[RunnerView]:
    """Serving runners whose slots may be counted on: old ones, and new ones ready long enough."""
    return [
        runner
        for runner in roster.serving.values()
        if is_old(roster, runner) or _seasoned_at(roster, runner) <= roster.now
    ]


def _has_old(roster: Roster) -> bool:
    """Also while the last old ones still drain: the room they take is the surge's."""
    groups = (roster.serving, roster.starting, roster.pending, roster.draining)
    revision = roster.settings.revision
    return any(r.revision != revision for group in groups for r in group.values())


def _seasoned_at(roster: Roster, runner: RunnerView) -> float:
    ready_at = runner.ready_at if runner.ready_at is not None else runner.created_at
    return ready_at + roster.settings.min_ready_s


def _stalls_at(roster: Roster) -> float | None:
    """When the roll-out counts as stuck; None when nothing is known to be waited for.

    Without a memory only runners that are still coming up tell how long it has taken; one that
    crashes and is replaced looks young each time, which is what `rollout_progress_at` is for.
    """
    began_at = roster.view.rollout_progress_at
    if began_at is None:
        groups = (roster.pending, roster.starting, roster.draining)
        waiting = [
            runner.created_at
            for group in groups
            for runner in group.values()
            if runner.phase is not READY and not is_old(roster, runner)
        ]
        if not waiting:
            return None
        began_at = min(waiting)
    ready = [
        runner.ready_at
        for runner in roster.view.runners
        if runner.ready_at is not None and runner.phase is not FAILED and not is_old(roster, runner)
    ]
    return max([began_at, *ready]) + roster.settings.progress_deadline_s
