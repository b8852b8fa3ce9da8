"""A pool as a plan leaves it: a perfect backend, at once and without losing a race."""

from dataclasses import replace
from itertools import count

from msgspec import structs

from paddock_operator.plan.actions import CancelStart, Commit, Create, Forget, Plan, WriteIntent
from paddock_operator.plan.drain import commit_holds, write_holds
from paddock_operator.plan.view import Phase, PoolView, RunnerView


def apply(view: PoolView, plan: Plan, now: float) -> PoolView:
    """The view right after the plan, before any runner could answer.

    Asserts that each action names a runner of the view and rests on its present intent.
    """
    runners = {runner.runner_id: runner for runner in view.runners}
    fresh_ids = (f"new-{number}" for number in count())
    for action in plan.actions:
        match action:
            case Create(revision, runners_wanted):
                for _ in range(runners_wanted):
                    runner_id = next(i for i in fresh_ids if i not in runners)
                    runners[runner_id] = _created(view, revision, runner_id, now)
            case WriteIntent(runner_id, _, after):
                assert write_holds(runners[runner_id].intent, action), action
                runners[runner_id] = structs.replace(runners[runner_id], intent=after)
            case Commit(runner_id):
                assert commit_holds(runners[runner_id].intent, action), action
                runners[runner_id] = structs.replace(runners[runner_id], phase=Phase.TERMINATING)
            case CancelStart(runner_id):
                assert runners[runner_id].phase is Phase.PENDING
                del runners[runner_id]
            case Forget(runner_id):
                assert runners[runner_id].phase is Phase.FAILED
                del runners[runner_id]
    return replace(view, runners=tuple(runners.values()))


def _created(view: PoolView, revision: str, runner_id: str, now: float) -> RunnerView:
    return RunnerView(
        runner_id=runner_id,
        revision=revision,
        phase=Phase.PENDING,
        created_at=now,
        capacity=view.settings.sessions_per_runner,
    )
