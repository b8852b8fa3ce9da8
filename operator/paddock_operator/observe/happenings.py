"""What happened between two passes, from what each of them saw. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from paddock.protocol.words import Mode
from paddock_operator.observe.scene import Scene
from paddock_operator.plan.actions import CancelStart, Commit, Forget
from paddock_operator.plan.view import DrainReason, Phase, RunnerView
from paddock_operator.reconcile.backend import Observed

_COMING = (Phase.PENDING, Phase.STARTING)
_OVER = (Phase.TERMINATING, Phase.FAILED)


class Outcome(StrEnum):
    """How a drain came to its end."""

    DONE = "done"
    UNDRAINED = "undrained"
    TIMEOUT = "timeout"
    """Ended at its deadline, whatever it held."""
    FAILED = "failed"
    """It ended in any way but ours."""


@dataclass(frozen=True, slots=True)
class EndedDrain:
    runner_id: str
    reason: DrainReason | None
    outcome: Outcome
    seconds: float
    cut: int = 0
    """Sessions it held at its deadline."""


@dataclass(frozen=True, slots=True)
class Happenings:
    """Everything is about runners that both passes can be asked about; nothing is told twice."""

    became_ready: tuple[RunnerView, ...] = ()
    began_draining: tuple[Observed, ...] = ()
    ended_drains: tuple[EndedDrain, ...] = ()
    failed: tuple[Observed, ...] = ()
    """Over without having been asked."""
    vanished: tuple[RunnerView, ...] = ()
    """Not there any more, without our doing."""
    held: int = 0
    """Sessions that the failed ones were last seen with."""


def happened(before: Scene, after: Scene) -> Happenings:
    """What is different in `after`, the later of the two."""
    was = {r.runner_id: r for r in before.last.pool.runners}
    seen = {o.runner_id: o for o in after.last.observed}
    commits = {a.runner_id: a for a in before.last.plan.actions if isinstance(a, Commit)}
    ours = commits.keys() | {
        a.runner_id for a in before.last.plan.actions if isinstance(a, CancelStart | Forget)
    }
    failed = tuple(
        o for o in seen.values() if o.phase is Phase.FAILED and not o.asked and _is_new(o, was)
    )
    return Happenings(
        became_ready=tuple(
            r
            for r in after.last.pool.runners
            if r.phase is Phase.READY
            and (
                r.runner_id not in was or was[r.runner_id].phase in (Phase.PENDING, Phase.STARTING)
            )
        ),
        began_draining=tuple(
            o
            for o in seen.values()
            if o.intent.mode is Mode.DRAIN
            and o.runner_id in was
            and was[o.runner_id].intent.mode is Mode.SERVE
        ),
        ended_drains=tuple(_ended_drains(was, seen, commits, after.at)),
        failed=failed,
        vanished=tuple(
            r
            for r in was.values()
            if r.runner_id not in seen and r.phase not in _OVER and r.runner_id not in ours
        ),
        held=sum(was[o.runner_id].booked or 0 for o in failed if o.runner_id in was),
    )


def _is_new(observed: Observed, was: dict[str, RunnerView]) -> bool:
    earlier = was.get(observed.runner_id)
    return earlier is None or earlier.phase is not Phase.FAILED


def _ended_drains(
    was: dict[str, RunnerView],
    seen: dict[str, Observed],
    commits: dict[str, Commit],
    at: float,
) -> Iterator[EndedDrain]:
    for name, runner in was.items():
        intent = runner.intent
        if intent.mode is not Mode.DRAIN or runner.phase in _OVER:
            continue
        now, commit = seen.get(name), commits.get(name)
        cut = 0
        if now is not None and now.phase not in _OVER:
            if now.intent.mode is Mode.DRAIN:
                continue
            outcome = Outcome.UNDRAINED
        elif commit is not None:
            outcome, cut = Outcome(commit.outcome), commit.cut
        else:
            outcome = Outcome.FAILED
        since = intent.since if intent.since is not None else at
        yield EndedDrain(name, intent.reason, outcome, max(0.0, at - since), cut)
