"""Passes as a reconciler makes them: the real sample and the real plan of given runners."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fakes.pools import NOW, SETTINGS
from paddock.protocol.words import Mode
from paddock_operator.autoscale.sample import Decision, PoolSample
from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.model.parse import parse_manifest
from paddock_operator.observe.facts import PoolFacts
from paddock_operator.observe.scene import Scene
from paddock_operator.plan.planner import plan
from paddock_operator.plan.view import Phase, PlanSettings, PoolView, RunnerView
from paddock_operator.reconcile.backend import Observed
from paddock_operator.reconcile.passes import Pass
from paddock_operator.reconcile.view import Pool
from unit.model.manifests import changed


def manifest(**changes: object) -> AgentDeployment:
    """Of four sessions a runner, as the pool's settings in `fakes.pools`."""
    return parse_manifest(changed(**changes))


def a_pass(
    *runners: RunnerView,
    target: int | None = None,
    queued: int = 0,
    fresh: bool = True,
    failures: int = 0,
    limited: str = "",
    by_fallback: bool = False,
    called_off: int = 0,
    deleting: bool = False,
    failed: Sequence[Observed] = (),
    at: float = NOW,
    settings: PlanSettings = SETTINGS,
    **changes: Any,
) -> Pass:
    """The pass over `runners`, wanting as many as serve; `changes` go to the settings."""
    settings = replace(settings, **changes)
    view = PoolView(runners, queued, fresh, settings, deleting)
    serving = [r for r in runners if r.intent.mode is Mode.SERVE and r.phase is Phase.READY]
    if target is None:
        target = len(serving)
    decision = Decision(target, target, "as the test says", limited, by_fallback)
    observed = [
        Observed(r.runner_id, r.revision, _seen(r.phase), r.created_at, r.intent, r.node)
        for r in runners
    ]
    return Pass(
        observed=(*observed, *failed),
        pool=Pool(runners, _sample(runners, serving, queued, fresh)),
        settings=settings,
        decision=decision,
        plan=plan(view, decision, at),
        revision=settings.revision,
        fresh=fresh,
        failures=failures,
        called_off=called_off,
    )


def scene(
    *runners: RunnerView, facts: PoolFacts | None = None, at: float = NOW, **of: Any
) -> Scene:
    """The pass over `runners` with its facts."""
    facts = facts or PoolFacts()
    return Scene(a_pass(*runners, at=at, deleting=facts.deleting, **of), facts, at)


def pass_over(view: PoolView, target: int) -> Pass:
    """The pass that sees `view`."""
    return a_pass(
        *view.runners, target=target, queued=view.queued, fresh=view.fresh,
        deleting=view.deleting, settings=view.settings,
    )  # fmt: skip


def _seen(phase: Phase) -> Phase:
    return Phase.STARTING if phase is Phase.READY else phase


def _sample(
    runners: Sequence[RunnerView], serving: Sequence[RunnerView], queued: int, fresh: bool
) -> PoolSample:
    leaving = [r for r in runners if r.intent.mode is Mode.DRAIN]
    return PoolSample(
        in_flight=sum(r.booked or 0 for r in serving),
        queued=queued,
        arrivals=0,
        completions=0,
        answered=0,
        late=0,
        startup_times_s=(),
        ready=sum(r.booked is not None for r in serving),
        starting=sum(r.phase in (Phase.PENDING, Phase.STARTING) for r in runners),
        draining_sessions=sum(r.booked or 0 for r in leaving),
        fresh=fresh,
    )
