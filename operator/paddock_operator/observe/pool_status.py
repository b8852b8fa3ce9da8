"""The whole status of an AgentDeployment, and of an OrchestratorConnection. Pure."""

import math
from collections import Counter
from collections.abc import Mapping
from statistics import NormalDist
from typing import Final

from paddock.protocol.words import Mode
from paddock_operator.model.conditions import (
    POOL_CONDITIONS,
    ConditionType,
    Reason,
)
from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.model.status import (
    ConnectionStatus,
    DrainStatus,
    PoolStatus,
    RevisionStatus,
    ScalingStatus,
    SessionCounts,
    longest,
    status_json,
)
from paddock_operator.observe import size_conditions, trouble_conditions, written
from paddock_operator.observe.facts import ConnectionProblem, PoolFacts, TemplateProblem
from paddock_operator.observe.judged import Judged, no, not_known, yes
from paddock_operator.observe.scene import Scene
from paddock_operator.observe.tally import Tally
from paddock_operator.plan.view import RunnerView
from paddock_operator.reconcile.passes import Pass

POOL_LABEL: Final = "paddock.dev/pool"

_T = ConditionType
_NOT_LOOKED_AT: Final = "The manifest is not valid, so that nothing was looked at."
_STANDS_ASIDE: Final = "Another AgentDeployment has the agent, so that nothing was looked at."


def pool_status(
    scene: Scene, manifest: AgentDeployment, *, generation: int, before: Mapping[str, object]
) -> PoolStatus:
    """The status after a pass. All conditions are there.

    `before` is the status as it was written, unchecked: it says since when things are as they are.
    """
    last, facts, now, counted = scene.last, scene.facts, scene.at, scene.counted
    desired = 0 if facts.deleting else last.decision.target
    scaled_at = written.instant(written.part(before, "scaling").get("lastScaleTime"))
    unchanged = before.get("desiredRunners") == desired and scaled_at is not None
    levels = Counter(
        facts.levels[r.runner_id] for r in counted.there if r.runner_id in facts.levels
    )
    return PoolStatus(
        observed_generation=generation,
        selector=f"{POOL_LABEL}={manifest.name}",
        replicas=len(counted.there),
        starting=len(counted.starting),
        ready=len(counted.ready),
        idle=sum(r.booked == 0 for r in counted.ready),
        draining=len(counted.draining),
        unknown=len(counted.unknown),
        sessions=SessionCounts(
            capacity=sum(r.capacity for r in counted.ready),
            in_flight=counted.in_flight,
            queued=last.pool.sample.queued,
            free=counted.free,
            draining=counted.on_draining,
        ),
        desired_runners=desired,
        scaling=ScalingStatus(
            last.plan.reason,
            scaled_at if unchanged else now,
            recommended_warm_sessions(
                last.arrivals_per_s,
                last.start_p95_s,
                manifest.spec.scaling.objective_percent / 100.0,
            ),
        ),
        revision=_revision(last, counted, before),
        stats_time=facts.stats_time,
        drain_levels=dict(levels),
        drains=longest(_drain(r, last) for r in counted.draining if r.intent.mode is Mode.DRAIN),
        conditions=written.conditions(
            _judge(last, manifest, counted, facts, now), before, generation=generation, now=now
        ),
    )


def _judge(
    last: Pass, manifest: AgentDeployment, counted: Tally, facts: PoolFacts, now: float
) -> dict[ConditionType, Judged]:
    size, trouble = size_conditions, trouble_conditions
    judged: dict[ConditionType, Judged] = {
        _T.AVAILABLE: size.available(last, manifest, counted, facts),
        _T.PROGRESSING: size.progressing(last, manifest, counted, facts),
        _T.SCALING_ACTIVE: size.scaling_active(last, manifest, facts),
        _T.SCALING_LIMITED: size.scaling_limited(last, counted, facts),
        _T.ORCHESTRATOR_REACHABLE: trouble.orchestrator_reachable(last, manifest, facts),
        _T.DRAINING: trouble.draining(last, counted, now),
        _T.DEGRADED: trouble.degraded(last, manifest, facts),
        _T.TEMPLATE_ACCEPTED: trouble.template_accepted(facts.template_problem),
    }
    return judged


def invalid_status_json(
    name: str,
    *,
    generation: int,
    before: Mapping[str, object],
    problem: TemplateProblem,
    now: float,
) -> dict[str, object]:
    """The status, as it is written, of a pool whose manifest cannot be read, or that stands aside.

    There is no pass to tell of: numbers stay as they are in `before`, and of the conditions only
    TemplateAccepted is known.
    """
    why = _STANDS_ASIDE if problem.reason == "AgentTaken" else _NOT_LOOKED_AT
    judged: dict[ConditionType, Judged] = {one: not_known(why) for one in POOL_CONDITIONS}
    judged[_T.TEMPLATE_ACCEPTED] = trouble_conditions.template_accepted(problem)
    said = status_json(
        PoolStatus(
            observed_generation=generation,
            selector=f"{POOL_LABEL}={name}",
            conditions=written.conditions(judged, before, generation=generation, now=now),
        )
    )
    told = ("observedGeneration", "selector", "conditions")
    return {**said, **before, **{field: said[field] for field in told}}


def connection_status(
    problem: ConnectionProblem | None,
    *,
    generation: int,
    before: Mapping[str, object],
    now: float,
) -> ConnectionStatus:
    """The status of an OrchestratorConnection; None: the orchestrator answers and takes the key."""
    if problem is None:
        ready = yes(Reason.CONNECTED, "The orchestrator answers and takes the key.")
    else:
        ready = no(Reason(problem.reason), trouble_conditions.connection_trouble(problem))
    return ConnectionStatus(
        generation,
        written.conditions({ConditionType.READY: ready}, before, generation=generation, now=now),
    )


def recommended_warm_sessions(
    arrivals_per_s: float | None, start_p95_s: float | None, objective: float
) -> int | None:
    """Free sessions that would do for the starts that come while a runner starts.

    They are Poisson, with a mean of rate times start-up time; `objective` is the share of such
    times in which they are to suffice. None when either is not known.
    """
    if arrivals_per_s is None or start_p95_s is None:
        return None
    mean = max(0.0, arrivals_per_s * start_p95_s)
    return math.ceil(mean + NormalDist().inv_cdf(objective) * math.sqrt(mean))


def _revision(last: Pass, counted: Tally, before: Mapping[str, object]) -> RevisionStatus:
    old = Counter(r.revision for r in counted.others_than(last.revision))
    known = written.part(before, "revision").get("current")
    current = last.revision
    if old:
        # What was there before, or else what most are of: an operator that only just began.
        current = known if isinstance(known, str) and known else old.most_common(1)[0][0]
    return RevisionStatus(
        current=current,
        updated=last.revision,
        updated_runners=len(counted.there) - old.total(),
    )


def _drain(runner: RunnerView, last: Pass) -> DrainStatus:
    intent, report = runner.intent, runner.report
    held = runner.booked
    if report is not None and report.drain_epoch == intent.drain_epoch and held is None:
        held = report.booked
    return DrainStatus(
        pod=runner.runner_id,
        reason=intent.reason.value if intent.reason is not None else "",
        since=intent.since if intent.since is not None else runner.created_at,
        deadline=intent.deadline if last.settings.on_timeout == "Terminate" else None,
        sessions=held,
    )
