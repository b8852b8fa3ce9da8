"""What a status says of the size: Available, Progressing, ScalingActive, ScalingLimited. Pure."""

from paddock_operator.model.conditions import Reason
from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.observe.facts import PoolFacts
from paddock_operator.observe.judged import Judged, count, no, not_known, said, yes
from paddock_operator.observe.tally import Tally
from paddock_operator.plan.rollout import growth_is_paused
from paddock_operator.reconcile.passes import Pass


def available(last: Pass, manifest: AgentDeployment, tally: Tally, facts: PoolFacts) -> Judged:
    """Enough runners serve, and a slot is free, or on its way, for whoever waits or comes next.

    What is only being started makes up for missing slots, never for missing runners: whoever waits
    for a new pool to be available waits for runners.
    """
    if facts.deleting:
        return no(Reason.NOT_ENOUGH_RUNNERS, "The pool is deleted and starts nothing any more.")
    if not last.fresh:
        return not_known("Which slots are free is not known without fresh statistics.")
    fixed = manifest.spec.replicas
    floor = last.settings.min_runners if fixed is None else fixed
    ready, coming = len(tally.ready), len(tally.starting) + tally.created
    failing = last.failures >= manifest.spec.failure.max_start_failures
    if ready < floor:
        lack = f"{ready} of at least {count(floor, 'runner')} ready"
        if ready + coming >= floor and not failing:
            return no(Reason.COLD_STARTING, f"{lack}; the rest is starting.")
        return no(
            Reason.NOT_ENOUGH_RUNNERS, f"{lack}, {coming} starting; see the condition Degraded."
        )
    return _slots(last, tally, coming, warm=_warm(last, fixed), failing=failing)


def _warm(last: Pass, fixed: int | None) -> int:
    """The reserve that is owed: none by a pool that sleeps or has a size set by hand."""
    return 0 if fixed is not None or last.decision.target == 0 else last.settings.warm_sessions


def _slots(last: Pass, tally: Tally, coming: int, *, warm: int, failing: bool) -> Judged:
    queued, most = last.pool.sample.queued, last.settings.max_runners
    lacking = queued + warm - tally.free
    soon = 0 if failing else coming * last.settings.sessions_per_runner
    if lacking <= 0:
        return yes(Reason.ENOUGH_RUNNERS, _enough(last, tally))
    state = f"{count(queued, 'start')} waiting, {tally.free} of {warm} warm slots free"
    if lacking <= soon:
        return yes(Reason.COLD_STARTING, f"{state}; {count(coming, 'runner')} starting for them.")
    if queued and len(tally.there) >= most:
        return no(
            Reason.SATURATED,
            f"{state} at the maximum of {count(most, 'runner')}; raise maxRunners to take more.",
        )
    if coming and not failing:
        return no(Reason.COLD_STARTING, f"{state}; {coming} starting runners are not enough yet.")
    return no(Reason.NOT_ENOUGH_RUNNERS, f"{state}, and nothing is starting for them.")


def _enough(last: Pass, tally: Tally) -> str:
    if not tally.there:
        return "The pool sleeps; the next start wakes it."
    return f"{count(len(tally.ready), 'runner')} ready, {count(tally.free, 'slot')} free."


def progressing(last: Pass, manifest: AgentDeployment, tally: Tally, facts: PoolFacts) -> Judged:
    """Runners are being replaced, or come or go."""
    settings, paused = last.settings, last.settings.paused
    old = len(tally.others_than(last.revision))
    leaving, coming = len(tally.draining), len(tally.starting) + tally.created
    if facts.deleting:
        return yes(
            Reason.SCALING, f"The pool is deleted once {count(len(tally.there), 'runner')} left."
        )
    if old and tally.rollout.stalled:
        return no(
            Reason.DEADLINE_EXCEEDED,
            f"No runner of revision {last.revision} became ready for "
            f"{manifest.spec.rollout.progress_deadline_seconds} s; {count(old, 'runner')} of other "
            "revisions stay: mend the template or put the old one back.",
        )
    if old and (
        settings.rollout == "Paused" or growth_is_paused(settings) or paused == "Everything"
    ):
        return no(
            Reason.PAUSED,
            f"The roll-out of revision {last.revision} is paused with {count(old, 'runner')} of "
            "other revisions left; set spec.paused and rollout.type to go on.",
        )
    if old:
        return yes(
            Reason.ROLLING_OUT,
            f"Revision {last.revision} is rolled out; {count(old, 'runner')} of others left.",
        )
    if paused == "Everything":
        return no(Reason.PAUSED, "Everything is paused; set spec.paused to None to go on.")
    present = len(tally.ready) + len(tally.unknown) + coming
    if coming or leaving or present < last.decision.target:
        return yes(
            Reason.SCALING,
            f"{coming} starting and {leaving} draining toward "
            f"{count(last.decision.target, 'runner')}.",
        )
    return no(Reason.ROLLOUT_COMPLETE, f"All runners are of revision {last.revision}.")


def scaling_active(last: Pass, manifest: AgentDeployment, facts: PoolFacts) -> Judged:
    """The size comes from fresh statistics."""
    if manifest.spec.replicas is not None:
        return no(
            Reason.MANUAL,
            "The size is set by spec.replicas; remove that field to let the pool scale itself.",
        )
    if manifest.spec.paused in ("Scaling", "Everything"):
        return no(Reason.PAUSED, "Scaling is paused by spec.paused; set that to None to resume it.")
    if last.decision.by_fallback:
        return no(
            Reason.FALLBACK,
            "The size comes from spec.fallback; see the condition OrchestratorReachable.",
        )
    if not last.fresh:
        return no(
            Reason.STATS_STALE,
            "Nothing shrinks without fresh statistics; see the condition OrchestratorReachable.",
        )
    return yes(Reason.FRESH_STATISTICS, "The size is computed from fresh statistics.")


def scaling_limited(last: Pass, tally: Tally, facts: PoolFacts) -> Judged:
    """The pool wants another size than it may have, or may have at once."""
    settings, decision = last.settings, last.decision
    if facts.quota_message:
        return yes(
            Reason.QUOTA_EXCEEDED,
            f"A quota of the namespace refuses runners{said(facts.quota_message)}; raise it or "
            "lower maxRunners.",
        )
    if decision.limited == "AtMax":
        return yes(
            Reason.AT_MAX,
            f"More than {count(settings.max_runners, 'runner')} wanted; raise maxRunners to allow "
            "them.",
        )
    if decision.limited == "AtMin":
        return yes(
            Reason.AT_MIN,
            f"Fewer than {count(settings.min_runners, 'runner')} wanted; lower minRunners to save "
            "them.",
        )
    starts = len(tally.starting) + tally.created
    present = len(tally.ready) + len(tally.unknown) + starts
    surplus = len(tally.ready) > decision.target
    if present < decision.target and starts >= settings.max_starting:
        return yes(
            Reason.STEP_LIMITED,
            f"{starts} runners start at once, as many as maxStarting allows; more follow.",
        )
    if decision.limited or (surplus and len(tally.draining) >= settings.max_draining):
        return yes(
            Reason.STEP_LIMITED,
            f"{len(tally.draining)} runners drain at once; maxDraining lets more follow later.",
        )
    return no(Reason.NOT_LIMITED, "The pool has the size it wants, or is on its way.")
