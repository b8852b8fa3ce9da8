"""Which events a pass tells about its pool: a few sentences, never one for each runner. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from paddock_operator.model.conditions import Reason, State
from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.observe.facts import PoolFacts
from paddock_operator.observe.happenings import EndedDrain, Happenings, Outcome, happened
from paddock_operator.observe.judged import count, said, some
from paddock_operator.observe.scene import Scene
from paddock_operator.observe.tally import Tally
from paddock_operator.observe.trouble_conditions import (
    capacity_mismatch,
    orchestrator_reachable,
    template_accepted,
)
from paddock_operator.plan.view import DrainReason

LONGEST_MESSAGE: Final = 1000
"""An API server takes 1024 bytes."""
AGAIN_AFTER_S: Final = 60.0
MOST_AT_ONCE: Final = 25
ANOTHER_EVERY_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Told:
    """One event about a pool."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def story(before: Scene | None, after: Scene, manifest: AgentDeployment) -> tuple[Told, ...]:
    """What happened between two passes; about the first pass, what is
    wrong with it, and that the pool begins."""
    told = list(_problems(before, after, manifest))
    if before is None:
        told += _beginning(after)
    else:
        things = happened(before, after)
        told += _sizes(before, after, manifest)
        told += _rollout(before, after)
        told += _drains(things)
        told += _failures(things)
    return tuple(told)


def _normal(reason: str, message: str) -> Told:
    return Told("Normal", reason, _cut(message))


def _warning(reason: str, message: str) -> Told:
    return Told("Warning", reason, _cut(message))


def _cut(message: str) -> str:
    # By bytes: what an API server counts.
    raw = message.encode()
    if len(raw) <= LONGEST_MESSAGE:
        return message
    return f"{raw[: LONGEST_MESSAGE - 3].decode(errors='ignore')}…"


def _problems(before: Scene | None, after: Scene, manifest: AgentDeployment) -> Iterator[Told]:
    was = PoolFacts() if before is None else before.facts
    template = after.facts.template_problem
    if template is not None and template != was.template_problem:
        yield _warning("TemplateRejected", template_accepted(template).message)
    if after.facts.capacity_claimed_less and not was.capacity_claimed_less:
        yield _warning("CapacityMismatch", capacity_mismatch(after.facts, manifest))
    if before is None:
        return
    then = orchestrator_reachable(before.last, manifest, before.facts)
    now = orchestrator_reachable(after.last, manifest, after.facts)
    # That nothing was heard yet is how every process begins.
    if now.reason is Reason.NEVER_REPORTED or now.reason is then.reason:
        return
    if now.status is State.FALSE:
        yield _warning("OrchestratorUnreachable", now.message)
    elif then.reason is not Reason.NEVER_REPORTED:
        yield _normal("OrchestratorReachable", now.message)


def _beginning(after: Scene) -> Iterator[Told]:
    """A pool that has runners already was only found by another process."""
    target = after.last.decision.target
    if target and not after.last.observed and not after.facts.deleting:
        yield _normal("ScaledUp", f"From 0 to {target}. {after.last.plan.reason}")


def _sizes(before: Scene, after: Scene, manifest: AgentDeployment) -> Iterator[Told]:
    old, new = before.last.decision.target, after.last.decision.target
    if old == new or after.facts.deleting:
        return
    sentence = after.last.plan.reason
    sleeps = manifest.spec.replicas is None
    if new == 0 and sleeps:
        yield _normal("FellAsleep", f"From {old} to 0; the next start wakes the pool. {sentence}")
    elif old == 0 and sleeps:
        yield _normal("WokeUp", f"From 0 to {new}. {sentence}")
    else:
        yield _normal("ScaledUp" if new > old else "ScaledDown", f"From {old} to {new}. {sentence}")


def _rollout(before: Scene, after: Scene) -> Iterator[Told]:
    revision = after.last.revision
    then, now = before.counted, after.counted
    old = len(now.others_than(revision))
    if before.last.revision != revision:
        if old:
            paused = after.last.settings.rollout == "Paused"
            end = "; the roll-out is paused" if paused else ""
            yield _normal(
                "RolloutStarted",
                f"Revision {revision} replaces {before.last.revision} in "
                f"{count(old, 'runner')}{end}.",
            )
    elif then.others_than(revision) and not old and not after.facts.deleting:
        yield _normal("RolloutComplete", f"All runners are of revision {revision}.")
    if _is_stalled(now, revision) and not _is_stalled(then, revision):
        yield _warning(
            "RolloutStalled",
            f"No runner of revision {revision} became ready in time; {count(old, 'runner')} of "
            "other revisions stay: mend the template or put the old one back.",
        )


def _is_stalled(tally: Tally, revision: str) -> bool:
    return tally.rollout.stalled and bool(tally.others_than(revision))


def _drains(things: Happenings) -> Iterator[Told]:
    by_outcome: dict[Outcome, list[EndedDrain]] = defaultdict(list)
    for drain in things.ended_drains:
        by_outcome[drain.outcome].append(drain)
    nodes = Counter(
        runner.node
        for runner in things.began_draining
        if runner.intent.reason is DrainReason.NODE_CORDON
    )
    if nodes:
        where = some(tuple(sorted(node or "unknown" for node in nodes)))
        yield _normal("NodeCordoned", f"{count(nodes.total(), 'runner')} drain; cordoned: {where}.")
    if undrained := by_outcome[Outcome.UNDRAINED]:
        yield _normal("UnDrained", f"{count(len(undrained), 'runner')} taken back into service.")
    if done := by_outcome[Outcome.DONE]:
        yield _normal("Drained", f"{count(len(done), 'runner')} drained and ended{_reasons(done)}.")
    if late := by_outcome[Outcome.TIMEOUT]:
        cut = count(sum(drain.cut for drain in late), "session")
        yield _warning(
            "DrainDeadline",
            f"{count(len(late), 'runner')} ended at the drain's deadline with {cut}"
            f"{_reasons(late)}; raise drain.timeoutSeconds if sessions take longer.",
        )


def _reasons(drains: Iterable[EndedDrain]) -> str:
    reasons = Counter(drain.reason.value for drain in drains if drain.reason is not None)
    words = ", ".join(f"{reason} {number}" for reason, number in sorted(reasons.items()))
    return f" ({words})" if words else ""


def _failures(things: Happenings) -> Iterator[Told]:
    if things.failed:
        lines = Counter(runner.failure for runner in things.failed if runner.failure)
        line = said(lines.most_common(1)[0][0]) if lines else ""
        failed = count(len(things.failed), "runner")
        yield _warning("RunnerFailed", f"{failed} failed{_with(things.held)}{line}.")
    if things.vanished:
        gone = count(len(things.vanished), "runner")
        held = sum(runner.booked or 0 for runner in things.vanished)
        yield _warning(
            "RunnerFailed",
            f"{gone} disappeared{_with(held)}: removed by somebody else, or with the node.",
        )


def _with(held: int) -> str:
    return f" with {count(held, 'session')}" if held else ""


class Storyteller:
    """Holds back what was just told: a reason with the same message for `AGAIN_AFTER_S`, and of
    one pool everything that is more than `MOST_AT_ONCE`, then one each `ANOTHER_EVERY_S`.

    The words are kept by pool, and of those that are old enough to be told again, none.
    """

    def __init__(self) -> None:
        self._told: dict[str, dict[tuple[str, str], float]] = {}
        self._room: dict[str, tuple[float, float]] = {}

    def news(self, pool: str, told: Iterable[Told], now: float) -> tuple[Told, ...]:
        """Of `told`, what should be published; it counts as published. `now` is monotonic."""
        recent = {
            key: at for key, at in self._told.get(pool, {}).items() if now - at < AGAIN_AFTER_S
        }
        room, at = self._room.get(pool, (float(MOST_AT_ONCE), now))
        room = min(float(MOST_AT_ONCE), room + (now - at) / ANOTHER_EVERY_S)
        news = []
        for one in told:
            if (one.reason, one.message) not in recent and room >= 1.0:
                recent[one.reason, one.message] = now
                room -= 1.0
                news.append(one)
        self._told[pool], self._room[pool] = recent, (room, now)
        return tuple(news)

    def forget(self, pool: str) -> None:
        """The pool is gone."""
        self._told.pop(pool, None)
        self._room.pop(pool, None)
