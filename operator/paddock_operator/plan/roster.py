"""A pool's runners sorted by what they are worth, kept true while a plan is being made."""

from collections.abc import Iterable

from msgspec import structs

from paddock.protocol.words import Mode
from paddock_operator.plan.actions import Action, CancelStart, Create, Forget, Tell, WriteIntent
from paddock_operator.plan.drain import (
    RULES,
    DrainRules,
    has_lost_intent,
    last_known,
    reports_empty,
)
from paddock_operator.plan.victims import free_slots
from paddock_operator.plan.view import (
    DRAIN,
    FAILED,
    PENDING,
    SERVE,
    STARTING,
    TERMINATING,
    DrainReason,
    PoolView,
    RunnerView,
)

Runners = dict[str, RunnerView]


class Roster:
    """Every runner of the view in at most one of the groups, by id; a method that decides on a
    runner moves it and notes the action, so what is decided next sees the pool as it will be.

    Capacity is `serving`, and soon `pending` and `starting`. `unknown` runners may be full or
    dead: they hold a place and give nothing. `draining` ones hold a place until they end;
    `leaving` counts those told to go that may still hold calls.
    """

    def __init__(self, view: PoolView, now: float, rules: DrainRules = RULES) -> None:
        self.view = view
        self.settings = view.settings
        self.now = now
        self.rules = rules
        self.pending: Runners = {}
        self.starting: Runners = {}
        self.serving: Runners = {}
        self.unknown: Runners = {}
        self.draining: Runners = {}
        self.over: Runners = {}
        self.leaving = 0
        self.created = 0
        self.actions: list[Action] = []
        self.drains: dict[DrainReason, int] = {}
        """Drains begun by this plan."""
        for runner in view.runners:
            self._enter(runner)

    def _enter(self, runner: RunnerView) -> None:
        phase = runner.phase
        if phase is TERMINATING:
            self.leaving += not _is_empty(runner)
            return
        if phase is FAILED:
            group = self.over
        elif phase is PENDING:
            group = self.pending
        elif runner.intent.mode is DRAIN:
            group = self.draining
        elif phase is STARTING:
            group = self.starting
        else:
            group = self.serving if runner.booked is not None else self.unknown
        group[runner.runner_id] = runner

    @property
    def starts(self) -> int:
        """Runners on their way to serving, those of this plan included."""
        return len(self.pending) + len(self.starting) + self.created

    @property
    def total(self) -> int:
        """Runners that cost money; what has ended and holds no call does not."""
        held = len(self.serving) + len(self.unknown) + len(self.draining)
        return self.starts + held + self.leaving

    def is_saturated(self) -> bool:
        """Starts wait, or the next one (or the warm reserve) has no slot."""
        if self.view.queued > 0:
            return True
        return slots_free(self.serving.values()) < max(1, self.settings.warm_sessions)

    def create(self, count: int) -> None:
        self.created += count
        self.actions.append(Create(self.settings.revision, count))

    def cancel(self, runner: RunnerView) -> None:
        del self.pending[runner.runner_id]
        self.actions.append(CancelStart(runner.runner_id))

    def forget(self, keep: int = 0) -> None:
        """Clean up after what is over, but for `keep` runners that should still be serving."""
        for runner_id, runner in self.over.items():
            if keep > 0 and runner.intent.mode is SERVE:
                keep -= 1
            else:
                self.actions.append(Forget(runner_id))

    def cordon(self, runner: RunnerView, reason: DrainReason) -> None:
        """Begin a drain: no new sessions, its place stays taken."""
        for group in (self.serving, self.starting, self.unknown):
            group.pop(runner.runner_id, None)
        self.draining[runner.runner_id] = runner
        self.drains[reason] = self.drains.get(reason, 0) + 1
        self._write(runner, DRAIN, reason)

    def undrain(self, runner: RunnerView) -> None:
        """Call a drain off: the runner gives capacity again at once."""
        del self.draining[runner.runner_id]
        self.serving[runner.runner_id] = runner
        self._write(runner, SERVE, None)

    def commit(self, runners: Iterable[RunnerView]) -> None:
        """End those of the draining runners that may end now."""
        for runner in runners:
            commit = self.rules.may_commit(runner, self.now, self.settings, self.view.fresh)
            if commit is not None:
                self.actions.append(commit)
                del self.draining[runner.runner_id]
                self.leaving += not _is_empty(runner)

    def tell(self) -> None:
        """Repeat the commands of intents written before this plan that are not yet answered; write
        anew those that a runner is already past."""
        needs_telling = self.rules.needs_telling
        changed = {a.runner_id for a in self.actions if not isinstance(a, Create)}
        for runner in self.view.runners:
            if runner.runner_id in changed:
                continue
            if has_lost_intent(runner):
                beyond = last_known(runner).drain_epoch + 1
                after = structs.replace(runner.intent, drain_epoch=beyond)
                self.actions.append(WriteIntent(runner.runner_id, runner.intent, after))
            elif needs_telling(runner):
                self.actions.append(Tell(runner.runner_id, runner.intent))

    def _write(self, runner: RunnerView, mode: Mode, reason: DrainReason | None) -> None:
        timeout_s, base = self.settings.drain_timeout_s, last_known(runner)
        after = self.rules.next_intent(base, mode, reason, self.now, timeout_s)
        self.actions.append(WriteIntent(runner.runner_id, runner.intent, after))


def slots_free(runners: Iterable[RunnerView]) -> int:
    return sum(map(free_slots, runners))


def _is_empty(runner: RunnerView) -> bool:
    # The runner's own word is newer than any statistics that may still show a call.
    return runner.booked == 0 or reports_empty(runner)
