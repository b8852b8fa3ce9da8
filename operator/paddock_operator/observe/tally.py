"""A pass counted: each runner in exactly one group, and what the roll-out makes of them. Pure."""

from dataclasses import dataclass

from paddock.protocol.words import Mode
from paddock_operator.observe.facts import PoolFacts
from paddock_operator.plan.actions import Create
from paddock_operator.plan.rollout import Rollout, judge_rollout
from paddock_operator.plan.roster import Roster, slots_free
from paddock_operator.plan.view import Phase, PoolView, RunnerView
from paddock_operator.reconcile.passes import Pass

Group = tuple[RunnerView, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """The runners that are there, without those that are over: the groups do not overlap."""

    starting: Group
    ready: Group
    draining: Group
    """Also those that were told to go for good."""
    unknown: Group
    created: int
    """Runners that the pass itself asked for."""
    free: int
    """Slots that can be taken now."""
    in_flight: int
    on_draining: int
    """Sessions on runners that drain; part of `in_flight`."""
    rollout: Rollout

    @property
    def there(self) -> Group:
        return self.starting + self.ready + self.draining + self.unknown

    def others_than(self, revision: str) -> Group:
        """Runners of another revision, whatever they do."""
        return tuple(r for r in self.there if r.revision != revision)


def tally(last: Pass, facts: PoolFacts, now: float) -> Tally:
    """Count the pass. What it asked for is not there yet."""
    groups: dict[str, list[RunnerView]] = {
        "starting": [], "ready": [], "draining": [], "unknown": [],
    }  # fmt: skip
    for runner in last.pool.runners:
        if runner.phase is not Phase.FAILED:
            groups[_group(runner)].append(runner)
    sample = last.pool.sample
    # Ended from outside while it served: the sample takes it neither for serving nor for draining.
    evicted = sum(
        runner.booked or 0 for runner in groups["draining"] if runner.intent.mode is Mode.SERVE
    )
    on_draining = sample.draining_sessions + evicted
    return Tally(
        starting=tuple(groups["starting"]),
        ready=tuple(groups["ready"]),
        draining=tuple(groups["draining"]),
        unknown=tuple(groups["unknown"]),
        created=sum(a.count for a in last.plan.actions if isinstance(a, Create)),
        free=slots_free(groups["ready"]),
        in_flight=sample.in_flight + on_draining,
        on_draining=on_draining,
        rollout=judge_rollout(Roster(_view(last, facts), now)),
    )


def _group(runner: RunnerView) -> str:
    if runner.phase is Phase.TERMINATING or runner.intent.mode is Mode.DRAIN:
        return "draining"
    if runner.phase is not Phase.READY:
        return "starting"
    return "ready" if runner.booked is not None else "unknown"


def _view(last: Pass, facts: PoolFacts) -> PoolView:
    return PoolView(
        runners=last.pool.runners,
        queued=last.pool.sample.queued,
        fresh=last.fresh,
        settings=last.settings,
        deleting=facts.deleting,
        rollout_progress_at=facts.rollout_progress_at,
    )
