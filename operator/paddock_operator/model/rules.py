"""The rules that no single field can state, one row each."""

from itertools import pairwise
from typing import NamedTuple

from paddock_operator.model.base import NAME_PATTERN, matches
from paddock_operator.model.manifest import NAME_LIMIT, AgentDeployment
from paddock_operator.model.problems import ABSENT, Problem
from paddock_operator.model.rule import Rule

_WARM = "self.spec.scaling.warmSessions"


class Change(NamedTuple):
    """An object before and after an update."""

    old: AgentDeployment
    new: AgentDeployment


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


def _container_names_differ(manifest: AgentDeployment) -> bool:
    names = [container.name for container in manifest.spec.template.spec.containers]
    return len(set(names)) == len(names)


RULES: tuple[Rule[AgentDeployment], ...] = (
    Rule(
        "name-length",
        "metadata.name",
        f"the name must have at most {NAME_LIMIT} characters, or pod names become too long",
        lambda manifest: len(manifest.name) <= NAME_LIMIT,
        "choose a shorter name and keep the agent's name in spec.agentId",
        cel=f"size(self.metadata.name) <= {NAME_LIMIT}",
    ),
    Rule(
        "name-pattern",
        "metadata.name",
        "the name must be lower-case letters, digits and inner hyphens",
        lambda manifest: matches(NAME_PATTERN, manifest.name),
        "rename it, for example support-en",
        cel=f"self.metadata.name.matches(r'{NAME_PATTERN}')",
    ),
    Rule(
        "agent-id-pattern",
        "spec.agentId",
        "the agent's id must be lower-case letters, digits and inner hyphens",
        lambda manifest: (
            manifest.spec.agent_id is None or matches(NAME_PATTERN, manifest.spec.agent_id)
        ),
        "rename it, for example support-en",
        cel=f"!has(self.spec.agentId) || self.spec.agentId.matches(r'{NAME_PATTERN}')",
    ),
    Rule(
        "min-within-max",
        "spec.scaling.minRunners",
        "minRunners must not exceed maxRunners",
        _min_within_max,
        "lower minRunners or raise maxRunners",
        ("spec.scaling.maxRunners",),
        cel="self.spec.scaling.minRunners <= self.spec.scaling.maxRunners",
    ),
    Rule(
        "replicas-within-max",
        "spec.replicas",
        "replicas must not exceed scaling.maxRunners",
        _replicas_within_max,
        "lower replicas or raise scaling.maxRunners",
        ("spec.scaling.maxRunners",),
        cel="!has(self.spec.replicas) || self.spec.replicas <= self.spec.scaling.maxRunners",
    ),
    Rule(
        "sleep-needs-zero",
        "spec.scaling.scaleToZero",
        "scaleToZero needs minRunners 0",
        _sleep_needs_zero,
        "set minRunners to 0 or leave scaleToZero out",
        ("spec.scaling.minRunners",),
        cel="!has(self.spec.scaling.scaleToZero) || self.spec.scaling.minRunners == 0",
    ),
    Rule(
        "warm-reachable",
        "spec.scaling.warmSessions",
        "warmSessions must fit into maxRunners times sessionsPerRunner",
        _warm_reachable,
        "lower warmSessions or raise maxRunners",
        ("spec.scaling.maxRunners", "spec.sessionsPerRunner"),
        cel=f"!has({_WARM}) || type({_WARM}) != int || "
        f"{_WARM} <= self.spec.scaling.maxRunners * self.spec.sessionsPerRunner",
    ),
    Rule(
        "warm-share",
        "spec.scaling.warmSessions",
        "the free share must be below 100%: what is in use is never free",
        _warm_share_below_all,
        "lower warmSessions",
        cel=f"!has({_WARM}) || type({_WARM}) == int || {_WARM} != '100%'",
    ),
    Rule(
        "warning-before-deadline",
        "spec.drain.warnBeforeSeconds",
        "the warning must not come before the drain begins",
        _warning_before_deadline,
        "make warnBeforeSeconds at most timeoutSeconds",
        ("spec.drain.timeoutSeconds",),
        cel="self.spec.drain.warnBeforeSeconds <= self.spec.drain.timeoutSeconds",
    ),
    Rule(
        "grace-covers-drain",
        "spec.template.spec.terminationGracePeriodSeconds",
        "the pod's grace period must not end before drain.timeoutSeconds",
        _grace_covers_drain,
        "leave it out, or make it at least drain.timeoutSeconds",
        ("spec.drain.timeoutSeconds",),
        cel="!has(self.spec.template.spec.terminationGracePeriodSeconds) || "
        "self.spec.template.spec.terminationGracePeriodSeconds >= self.spec.drain.timeoutSeconds",
    ),
    Rule(
        "static-has-size",
        "spec.fallback.runners",
        "the Static fallback needs a number of runners",
        _static_has_size,
        "add fallback.runners",
        ("spec.fallback.behavior",),
        cel="self.spec.fallback.behavior != 'Static' || has(self.spec.fallback.runners)",
    ),
    Rule(
        "stale-before-fallback",
        "spec.fallback.staleAfterSeconds",
        "staleAfterSeconds must not exceed afterSeconds",
        _stale_before_fallback,
        "raise fallback.afterSeconds",
        ("spec.fallback.afterSeconds",),
        cel="self.spec.fallback.staleAfterSeconds <= self.spec.fallback.afterSeconds",
    ),
    Rule(
        "steps-increase",
        "spec.rollout.steps",
        "each step's percent must be larger than the one before",
        _steps_increase,
        "sort the steps by percent and drop repeated ones",
        cel="self.spec.rollout.steps.map(step, step.percent).isSorted() && "
        "self.spec.rollout.steps.all(step, "
        "self.spec.rollout.steps.exists_one(other, other.percent == step.percent))",
    ),
    Rule(
        "schedule-names-differ",
        "spec.scaling.schedules",
        "each schedule needs a name of its own",
        _schedule_names_differ,
        "rename one of them",
    ),
    Rule(
        "container-names-differ",
        "spec.template.spec.containers",
        "each container needs a name of its own",
        _container_names_differ,
        "rename one of them",
    ),
    Rule(
        "not-served-yet",
        "spec.scaling.schedules",
        "schedules are not served yet",
        lambda manifest: not manifest.spec.scaling.schedules,
        "leave them out and raise minRunners for the busy hours",
        cel="size(self.spec.scaling.schedules) == 0",
    ),
    Rule(
        "not-served-yet",
        "spec.rollout.type",
        "of the roll-out types only Surge and Paused are served yet",
        lambda manifest: manifest.spec.rollout.type in ("Surge", "Paused"),
        "use Surge",
        cel="self.spec.rollout.type in ['Surge', 'Paused']",
    ),
    Rule(
        "not-served-yet",
        "spec.rollout.steps",
        "roll-outs in steps are not served yet",
        lambda manifest: not manifest.spec.rollout.steps,
        "leave them out",
        cel="size(self.spec.rollout.steps) == 0",
    ),
)


AGENT_ID_STAYS: Rule[Change] = Rule(
    "agent-id-immutable",
    "spec.agentId",
    "the agent's id cannot change",
    lambda change: change.old.agent_id == change.new.agent_id,
    "keep it, or create a second AgentDeployment and delete this one",
    cel="(has(self.spec.agentId) ? self.spec.agentId : self.metadata.name) == "
    "(has(oldSelf.spec.agentId) ? oldSelf.spec.agentId : oldSelf.metadata.name)",
)


def check_transition(
    old: AgentDeployment, new: AgentDeployment, *, source: str = "-"
) -> tuple[Problem, ...]:
    """What forbids turning `old` into `new`; empty when nothing does."""
    rule = AGENT_ID_STAYS
    if rule.check(Change(old, new)):
        return ()
    written = ABSENT if new.spec.agent_id is None else new.spec.agent_id
    message = f"{rule.message} and is {old.agent_id!r}"
    return (Problem(source, rule.field, written, rule.name, message, rule.fix),)
