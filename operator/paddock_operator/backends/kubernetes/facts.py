"""What only the cluster and the signals know of a pool, put together for its status."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from paddock_operator.backends.kubernetes.errors import Forbidden
from paddock_operator.backends.kubernetes.managed_pool import ManagedPool
from paddock_operator.backends.kubernetes.pods import PodView
from paddock_operator.observe.facts import PodTroubles, PoolFacts, TemplateProblem, facts_of
from paddock_operator.reconcile.clock import Clock
from paddock_operator.reconcile.reconciler import Reconciler
from paddock_operator.signals.feed import RunnerSignal

_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"})


def pool_facts(pool: ManagedPool, reconciler: Reconciler, clock: Clock) -> PoolFacts:
    """For the pass that was just made."""
    feed, manifest, backend = reconciler.feed, reconciler.manifest, pool.backend
    pods = backend.pods()
    signals = {name: feed.runners[name] for name in pods if name in feed.runners}
    return replace(
        facts_of(reconciler, now=clock.wall(), mono=clock.mono()),
        connection_problem=None if pool.connection is None else pool.connection.trouble,
        quota_message=backend.quota,
        forbidden=pool.forbidden,
        overlapping_pdb=pool.overlapping_budget,
        template_problem=_template_problem(pool),
        pods=_troubles(pods),
        capacity_claimed_less=tuple(
            sorted(
                name
                for name, signal in signals.items()
                if signal.connected and signal.capacity < manifest.spec.sessions_per_runner
            )
        ),
        levels={name: drain_level(signal) for name, signal in signals.items()},
        deleting=pool.deleting,
    )


def drain_level(signal: RunnerSignal) -> int:
    """3: obeys, reports, and the orchestrator keeps calls away from it. 1: only its load is known.

    The orchestrator of a connection honours drains by itself, so that a runner that can drain is
    always at 3 here, and one that cannot never above 1.
    """
    return 3 if signal.can_drain else 1


def _template_problem(pool: ManagedPool) -> TemplateProblem | None:
    parsed, rejected = pool.resource.parsed, pool.backend.rejected
    if pool.rival:
        return TemplateProblem("AgentTaken", pool.rival)
    if isinstance(parsed, tuple):
        return TemplateProblem("Invalid", "; ".join(str(problem) for problem in parsed))
    if rejected is None:
        return None
    reason = "Forbidden" if isinstance(rejected, Forbidden) else "Invalid"
    return TemplateProblem(reason, rejected.message)  # type: ignore[arg-type]


def _troubles(pods: Mapping[str, PodView]) -> PodTroubles:
    stuck: dict[str, str] = {}
    messages: dict[str, str] = {}
    for name, pod in pods.items():
        reason, message = pod.waiting
        if reason in _PULL:
            kind = "image_pull"
        elif reason == "CrashLoopBackOff":
            kind = "crashed"
        elif reason == "Unschedulable":
            kind = "unschedulable"
        elif pod.failure:
            kind, message = "crashed", pod.failure
        else:
            continue
        stuck[name] = kind
        messages.setdefault(kind, message or reason)
    counts = Counter(stuck.values())
    return PodTroubles(
        image_pull_failed=counts["image_pull"],
        image_pull_message=messages.get("image_pull", ""),
        unschedulable=counts["unschedulable"],
        unschedulable_message=messages.get("unschedulable", ""),
        crash_looping=counts["crashed"],
        crash_message=messages.get("crashed", ""),
        stuck=stuck,
    )
