"""The one place that decides what happens to a pool's runners: view and decision in, plan out.

Steps, each on the pool as the steps before leave it; the order is what makes a plan complete, so
that applying it and planning again at the same instant finds nothing left but repeated commands:

1. what turned out busy stays; what cannot be trusted or kept (late starts, silent runners, leaving
   nodes) is drained, starts of an old revision are withdrawn, whatever cannot come back is ended;
2. drains are called off, before anything is created: a runner that still serves is there at once;
3. drained runners end;
4. old revisions are replaced, then demand that went away is followed, both with consent only;
5. what is missing is created, and what is over is forgotten.

`unknown` is never taken for idle, old or empty, and nothing leaves for lack of demand while
statistics are stale or a start waits.
"""

from collections.abc import Iterable

from paddock_operator.autoscale.sample import Decision
from paddock_operator.plan.actions import Plan
from paddock_operator.plan.drain import RULES, DrainRules
from paddock_operator.plan.reason import next_at, say
from paddock_operator.plan.rollout import (
    Rollout,
    growth_is_paused,
    is_old,
    judge_rollout,
    proven,
)
from paddock_operator.plan.roster import Roster, slots_free
from paddock_operator.plan.victims import choose_victims, free_slots, is_eligible
from paddock_operator.plan.view import DRAIN, SERVE, DrainReason, PoolView, RunnerView


def plan(view: PoolView, decision: Decision, now: float, rules: DrainRules = RULES) -> Plan:
    """What to do about the pool at `now`. Pure: the same arguments give the same plan."""
    roster = Roster(view, now, rules)
    if view.deleting:
        return _wind_down(roster)
    if view.settings.paused == "Everything":
        return Plan((), "Everything is paused: nothing is changed")
    _keep_busy(roster)
    target = _target(roster, decision)
    _clear_away(roster)
    rollout = judge_rollout(roster)
    if _undrain(roster, rollout, target):
        rollout = judge_rollout(roster)  # An old runner may have come back, to be replaced again.
    roster.commit(list(roster.draining.values()))
    _replace_old(roster, rollout, target)
    _shrink(roster, rollout, target)
    _create(roster, rollout, target)
    # While growth is paused, failures that could not be replaced yet are what may still be created.
    owed = target - present(roster) if growth_is_paused(view.settings) else 0
    roster.forget(keep=max(0, owed))
    roster.tell()
    return Plan(
        tuple(roster.actions),
        say(roster, target, decision.reason),
        next_at(roster, rollout.next_at),
    )


def present(roster: Roster) -> int:
    """Runners that serve or will. Unknown ones are replaced, unless nothing is known of anyone:
    then it is the statistics that are missing, and not the runners."""
    unknown = 0 if roster.view.fresh else len(roster.unknown)
    return len(roster.serving) + roster.starts + unknown


def _wind_down(roster: Roster) -> Plan:
    """The pool is going away: everything leaves by the same drain, nothing is created."""
    roster.forget()
    for runner in list(roster.pending.values()):
        roster.cancel(runner)
    for group in (roster.starting, roster.serving, roster.unknown):
        for runner in list(group.values()):
            roster.cordon(runner, DrainReason.POOL_DELETED)
    roster.commit(list(roster.draining.values()))
    roster.tell()
    why = "the pool is deleted"
    return Plan(tuple(roster.actions), say(roster, 0, why), next_at(roster, None))


def _target(roster: Roster, decision: Decision) -> int:
    """The decision within the maximum; while growth is paused, only what failed is replaced."""
    settings = roster.settings
    target = max(0, min(decision.target, settings.max_runners))
    if not growth_is_paused(settings):
        return target
    # One that drained and left is over too, but nobody misses it.
    failed = sum(runner.intent.mode is SERVE for runner in roster.over.values())
    return min(target, max(present(roster) + failed, settings.min_runners))


def _clear_away(roster: Roster) -> None:
    """What leaves whatever the demand is."""
    settings, view, now = roster.settings, roster.view, roster.now
    for runner in list(roster.pending.values()):
        withdrawn = is_old(roster, runner) and settings.rollout != "Paused"
        stuck = view.fresh and bool(runner.node)
        late = stuck and runner.created_at <= now - settings.start_deadline_s
        if runner.intent.mode is DRAIN or ((withdrawn or late) and not growth_is_paused(settings)):
            roster.cancel(runner)
    for group in (roster.serving, roster.starting, roster.unknown):
        for runner in [runner for runner in group.values() if runner.cordoned]:
            roster.cordon(runner, DrainReason.NODE_CORDON)
    if view.fresh:
        for runner in _broken(roster):
            roster.cordon(runner, DrainReason.BROKEN)
    may_undrain = roster.rules.may_undrain
    for runner in list(roster.draining.values()):
        if not may_undrain(runner, now, settings, True):
            roster.commit([runner])


def _broken(roster: Roster) -> list[RunnerView]:
    """Starts that are long overdue and runners that were silent as long.

    Only on fresh statistics: they are what would have shown the runner.
    """
    oldest = roster.now - roster.settings.start_deadline_s
    late = [r for r in roster.starting.values() if r.start_began_at <= oldest]
    silent = [
        runner
        for runner in roster.unknown.values()
        if runner.silent_since is not None and runner.silent_since <= oldest
    ]
    return late + silent


def _keep_busy(roster: Roster) -> None:
    """Take back runners that were drained for being idle and were not: a call slipped in."""
    if not roster.settings.idle_only:
        return
    may_undrain, settings = roster.rules.may_undrain, roster.settings
    for_idleness = DrainReason.SCALE_DOWN
    for runner in list(roster.draining.values()):
        if (
            runner.intent.reason is for_idleness
            and _holds_calls(runner, roster.view.fresh)
            and may_undrain(runner, roster.now, settings, False)
        ):
            roster.undrain(runner)


def _holds_calls(runner: RunnerView, fresh: bool) -> bool:
    """Statistics show a call, and the runner's own word at this drain, if it has one, agrees."""
    if not runner.booked:
        return False
    if not runner.can_drain:
        return fresh
    report = runner.report
    return (
        report is not None and report.drain_epoch == runner.intent.drain_epoch and report.booked > 0
    )


def _undrain(roster: Roster, rollout: Rollout, target: int) -> int:
    """Call drains off, the fullest runner with a free slot first; how many.

    Its calls keep it alive longest anyway, so taking it back costs least; the emptier ones end
    soon. A full one would add no slot, and its calls would ask for one more runner.
    """
    # What starts cannot be waited for when the roll-out is stuck.
    expected = len(roster.serving) if rollout.stalled else present(roster)
    missing = target - expected
    if missing <= 0:
        return 0
    settings, now = roster.settings, roster.now
    saturated = roster.is_saturated()
    willing = [
        runner
        for runner in roster.draining.values()
        if free_slots(runner) > 0 and roster.rules.may_undrain(runner, now, settings, saturated)
    ]
    willing.sort(key=lambda r: (is_old(roster, r), -(r.booked or 0), r.created_at, r.runner_id))
    back = willing[:missing]
    for runner in back:
        roster.undrain(runner)
    return len(back)


def _replace_old(roster: Roster, rollout: Rollout, target: int) -> None:
    """Drain as many old runners as proven ones exceed the target; busy ones too.

    A busy runner that cannot be told to drain is also taken: the orchestrator keeps new calls
    away from it, or a pool that is never idle could never be replaced.
    """
    view = roster.view
    if not rollout.active or rollout.stalled or not view.fresh or view.queued > 0:
        return
    counted = proven(roster)
    count = min(len(counted) - target, _drains_left(roster))
    spare = slots_free(counted) - _reserve(roster, target)
    old = [runner for runner in counted if is_old(roster, runner)]
    for runner in choose_victims(view, old, count, spare):
        roster.cordon(runner, DrainReason.ROLLOUT)


def _shrink(roster: Roster, rollout: Rollout, target: int) -> None:
    """Follow demand down: withdraw starts first, then drain what serves beyond the target.

    During a roll-out only new runners are counted: old ones leave by being replaced. What is
    starting is waited for, and does not take the place of a runner that serves.
    """
    view, settings = roster.view, roster.settings
    if not view.fresh or view.queued > 0 or settings.paused in ("ScaleDown", "Scaling"):
        return
    serving = roster.serving.values()
    pending, starts = list(roster.pending.values()), roster.starts
    replacing = rollout.active and not rollout.stalled
    candidates = [r for r in serving if not (replacing and is_old(roster, r))]
    if replacing:
        starts -= sum(is_old(roster, r) for r in roster.starting.values())
    if not rollout.stalled:
        pending.sort(key=lambda r: (not is_old(roster, r), -r.created_at, r.runner_id))
        for runner in pending[: max(0, len(candidates) + starts - target)]:
            roster.cancel(runner)
    count = min(len(candidates) - target, _drains_left(roster))
    spare = slots_free(serving) - _reserve(roster, target)
    eligible = [r for r in candidates if is_eligible(r, settings.idle_only)]
    for runner in choose_victims(view, eligible, count, spare):
        roster.cordon(runner, DrainReason.SCALE_DOWN)


def _reserve(roster: Roster, target: int) -> int:
    """Free slots that must be left; a pool that is to be empty keeps none."""
    return roster.settings.warm_sessions if target > 0 else 0


def _drains_left(roster: Roster) -> int:
    return roster.settings.max_draining - len(roster.draining)


def _create(roster: Roster, rollout: Rollout, target: int) -> None:
    settings, view = roster.settings, roster.view
    if roster.now < view.may_create_at:
        return
    missing = target - present(roster)
    if rollout.active and view.fresh:
        ahead = target + rollout.surge - present(roster)
        missing = max(missing, min(target - _new(roster), ahead))
    room = settings.max_runners + rollout.surge - roster.total
    count = min(missing, room, settings.max_starting - roster.starts)
    if count > 0:
        roster.create(count)


def _new(roster: Roster) -> int:
    groups: Iterable[dict[str, RunnerView]] = (roster.serving, roster.pending, roster.starting)
    return sum(not is_old(roster, r) for group in groups for r in group.values())
