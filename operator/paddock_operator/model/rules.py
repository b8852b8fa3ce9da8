"""The rules that no single field can state, one row each."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from paddock_operator.model.base import NAME_PATTERN
from paddock_operator.model.manifest import NAME_LIMIT, AgentDeployment
from paddock_operator.model.problems import ABSENT, Problem

_NAME = re.compile(NAME_PATTERN.replace("$", r"\Z"), re.ASCII)


@dataclass(frozen=True, slots=True)
class Rule:
    """Something that must hold of a manifest whose fields are each valid by themselves."""

    name: str
    field: str
    """Where a breach is reported."""
    message: str
    check: Callable[[AgentDeployment], bool]
    """True when the rule holds."""
    fix: str
    reads: tuple[str, ...] = ()
    """Other fields that `check` looks at."""


def _min_within_max(manifest: AgentDeployment) -> bool:
    scaling = manifest.spec.scaling
    return scaling.min_runners <= scaling.max_runners


def _replicas_within_max(manifest: AgentDeployment) -> bool:
    replicas = manifest.spec.replicas
    return replicas is None or replicas <= manifest.spec.scaling.max_runners


def _sleep_needs_zero(manifest: AgentDeployment) -> bool:
    scaling = manifest.spec.scaling
    return scaling.scale_to_zero is None or scaling.min_runners == 0


def _warm_reachable(manifest: AgentDeployment) -> bool:
    warm = manifest.spec.scaling.warm_sessions
    if warm is None or warm.percent:
        return True
    return warm.amount <= manifest.spec.scaling.max_runners * manifest.spec.sessions_per_runner


def _warm_share_below_all(manifest: AgentDeployment) -> bool:
    warm = manifest.spec.scaling.warm_sessions
    return warm is None or not warm.percent or warm.amount < 100


def _warning_before_deadline(manifest: AgentDeployment) -> bool:
    return manifest.spec.drain.warn_before_seconds <= manifest.spec.drain.timeout_seconds


def _grace_covers_drain(manifest: AgentDeployment) -> bool:
    grace = manifest.spec.template.spec.termination_grace_period_seconds
    return grace is None or grace >= manifest.spec.drain.timeout_seconds


def _static_has_size(manifest: AgentDeployment) -> bool:
    fallback = manifest.spec.fallback
    return fallback.behavior != "Static" or fallback.runners is not None


def _stale_before_fallback(manifest: AgentDeployment) -> bool:
    return manifest.spec.fallback.stale_after_seconds <= manifest.spec.fallback.after_seconds


def _steps_increase(manifest: AgentDeployment) -> bool:
    return all(a.percent < b.percent for a, b in pairwise(manifest.spec.rollout.steps))


def _schedule_names_differ(manifest: AgentDeployment) -> bool:
    names = [schedule.name for schedule in manifest.spec.scaling.schedules]
    return len(set(names)) == len(names)


RULES: tuple[Rule, ...] = (
    Rule(
        "name-length",
        "metadata.name",
        f"the name must have at most {NAME_LIMIT} characters, or pod names become too long",
        lambda manifest: len(manifest.name) <= NAME_LIMIT,
        "choose a shorter name and keep the agent's name in spec.agentId",
    ),
    Rule(
        "name-pattern",
        "metadata.name",
        "the name must be lower-case letters, digits and inner hyphens",
        lambda manifest: _NAME.match(manifest.name) is not None,
        "rename it, for example support-en",
    ),
    Rule(
        "agent-id-pattern",
        "spec.agentId",
        "the agent's id must be lower-case letters, digits and inner hyphens",
        lambda manifest: (
            manifest.spec.agent_id is None or _NAME.match(manifest.spec.agent_id) is not None
        ),
        "rename it, for example support-en",
    ),
    Rule(
        "min-within-max",
        "spec.scaling.minRunners",
        "minRunners must not exceed maxRunners",
        _min_within_max,
        "lower minRunners or raise maxRunners",
        ("spec.scaling.maxRunners",),
    ),
    Rule(
        "replicas-within-max",
        "spec.replicas",
        "replicas must not exceed scaling.maxRunners",
        _replicas_within_max,
        "lower replicas or raise scaling.maxRunners",
        ("spec.scaling.maxRunners",),
    ),
    Rule(
        "sleep-needs-zero",
        "spec.scaling.scaleToZero",
        "scaleToZero needs minRunners 0",
        _sleep_needs_zero,
        "set minRunners to 0 or leave scaleToZero out",
        ("spec.scaling.minRunners",),
    ),
    Rule(
        "warm-reachable",
        "spec.scaling.warmSessions",
        "warmSessions must fit into maxRunners times sessionsPerRunner",
        _warm_reachable,
        "lower warmSessions or raise maxRunners",
        ("spec.scaling.maxRunners", "spec.sessionsPerRunner"),
    ),
    Rule(
        "warm-share",
        "spec.scaling.warmSessions",
        "the free share must be below 100%: what is in use is never free",
        _warm_share_below_all,
        "lower warmSessions",
    ),
    Rule(
        "warning-before-deadline",
        "spec.drain.warnBeforeSeconds",
        "the warning must not come before the drain begins",
        _warning_before_deadline,
        "make warnBeforeSeconds at most timeoutSeconds",
        ("spec.drain.timeoutSeconds",),
    ),
    Rule(
        "grace-covers-drain",
        "spec.template.spec.terminationGracePeriodSeconds",
        "the pod's grace period must not end before drain.timeoutSeconds",
        _grace_covers_drain,
        "leave it out, or make it at least drain.timeoutSeconds",
        ("spec.drain.timeoutSeconds",),
    ),
    Rule(
        "static-has-size",
        "spec.fallback.runners",
        "the Static fallback needs a number of runners",
        _static_has_size,
        "add fallback.runners",
        ("spec.fallback.behavior",),
    ),
    Rule(
        "stale-before-fallback",
        "spec.fallback.staleAfterSeconds",
        "staleAfterSeconds must not exceed afterSeconds",
        _stale_before_fallback,
        "raise fallback.afterSeconds",
        ("spec.fallback.afterSeconds",),
    ),
    Rule(
        "steps-increase",
        "spec.rollout.steps",
        "each step's percent must be larger than the one before",
        _steps_increase,
        "sort the steps by percent and drop repeated ones",
    ),
    Rule(
        "schedule-names-differ",
        "spec.scaling.schedules",
        "each schedule needs a name of its own",
        _schedule_names_differ,
        "rename one of them",
    ),
    Rule(
        "not-served-yet",
        "spec.scaling.schedules",
        "schedules are not served yet",
        lambda manifest: not manifest.spec.scaling.schedules,
        "leave them out and raise minRunners for the busy hours",
    ),
    Rule(
        "not-served-yet",
        "spec.rollout.type",
        "of the roll-out types only Surge and Paused are served yet",
        lambda manifest: manifest.spec.rollout.type in ("Surge", "Paused"),
        "use Surge",
    ),
    Rule(
        "not-served-yet",
        "spec.rollout.steps",
        "roll-outs in steps are not served yet",
        lambda manifest: not manifest.spec.rollout.steps,
        "leave them out",
    ),
)


def broken_rules(manifest: AgentDeployment) -> Iterator[Rule]:
    """The rules that `manifest` breaks, in the table's order."""
    return (rule for rule in RULES if not rule.check(manifest))


def check_transition(
    old: AgentDeployment, new: AgentDeployment, *, source: str = "-"
) -> tuple[Problem, ...]:
    """What forbids turning `old` into `new`; empty when nothing does."""
    if old.agent_id == new.agent_id:
        return ()
    written = ABSENT if new.spec.agent_id is None else new.spec.agent_id
    return (
        Problem(
            source,
            "spec.agentId",
            written,
            "agent-id-immutable",
            f"the agent's id cannot change and is {old.agent_id!r}",
            "keep it, or create a second AgentDeployment and delete this one",
        ),
    )
