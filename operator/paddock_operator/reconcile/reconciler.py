"""One pool's loop: observe, decide, plan, apply. Level-triggered: every pass starts from scratch.

The pass itself is short and never waits for a runner; it is repeated every `TICK_S`, and at once
when something happened (`wake`).
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Protocol

from msgspec import structs

from paddock_operator.autoscale.policy import Policy, policy_for
from paddock_operator.autoscale.rate import ArrivalRate
from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.model.revision import template_revision
from paddock_operator.plan.actions import (
    Action,
    CancelStart,
    Commit,
    Create,
    Forget,
    Plan,
    Tell,
    WriteIntent,
)
from paddock_operator.plan.planner import plan
from paddock_operator.plan.settings import plan_settings
from paddock_operator.plan.view import Intent, Phase, PlanSettings, PoolView, RunnerView
from paddock_operator.reconcile.backend import Observed, PoolBackend
from paddock_operator.reconcile.clock import CLOCK, Clock
from paddock_operator.reconcile.crashes import CrashBackoff
from paddock_operator.reconcile.declaration import declaration
from paddock_operator.reconcile.passes import Pass
from paddock_operator.reconcile.view import look
from paddock_operator.signals.feed import Feed

log = logging.getLogger("paddock.reconciler")

TICK_S = 1.0
DECLARE_S = 5.0
TELL_AGAIN_S = 1.0
PACE_S = 60
"""How long a pool is looked at before anything is said of how often sessions come."""


class Link(Protocol):
    """What is said to the orchestrator. An answer that it was not heard is no error.

    `instance` is what the instance of the runner that is meant begins with: names are used again.
    """

    async def declare(self, agent: str, declaration: dict[str, Any]) -> bool | None: ...

    def stands(self, agent: str) -> bool: ...

    def renew(self, agent: str) -> None: ...

    async def tell(
        self, runner_id: str, intent: Intent, *, instance: str, now: float, warn_before_s: float
    ) -> bool: ...

    async def gone(self, runner_id: str, instance: str) -> bool: ...


@dataclass(eq=False)
class Reconciler:
    """Keeps one pool as its manifest says."""

    manifest: AgentDeployment
    backend: PoolBackend
    link: Link
    policy: Policy
    on_pass: Callable[[Pass], None] = lambda _: None
    status: Callable[[Pass], dict[str, Any]] = lambda _: {}
    """What people see of a pass; declared to the orchestrator with the pool."""
    deleting: bool = False
    on_wake: Callable[[], None] = lambda: None
    """For whoever makes the passes of several pools."""
    clock: Clock = CLOCK
    feed: Feed = field(init=False)
    revision: str = field(init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _crashes: CrashBackoff = field(init=False)
    _failed: set[str] = field(default_factory=set)
    _ready: set[str] = field(default_factory=set)
    _incarnations: dict[str, str] = field(default_factory=dict)
    _gone: dict[str, str] = field(default_factory=dict)
    """Runners that are over, and their incarnations: the orchestrator is still to be told."""
    _silent_since: dict[str, float] = field(default_factory=dict)
    _told: dict[str, tuple[int, float]] = field(default_factory=dict)
    _declared_at: float = 0.0
    _declared: tuple[object, ...] = ()
    _said: dict[str, Any] = field(default_factory=dict)
    """The declaration that was heard last."""
    _opening: bool = True
    _rollout_at: float | None = None
    _starts_s: list[float] = field(default_factory=list)
    _began: float = field(init=False)
    _rate: ArrivalRate = field(default_factory=ArrivalRate)

    def __post_init__(self) -> None:
        self._began = self.clock.mono()
        fallback, failure = self.manifest.spec.fallback, self.manifest.spec.failure
        self.feed = Feed(self.manifest.agent_id, float(fallback.stale_after_seconds))
        self.revision = template_revision(self.manifest)
        self._crashes = CrashBackoff(
            float(failure.backoff_seconds), float(failure.max_backoff_seconds)
        )

    def change(self, manifest: AgentDeployment) -> None:
        """Follow another version of the manifest. A new template is a new revision."""
        if _sizing(manifest) != _sizing(self.manifest):
            self.policy = policy_for(manifest, self.policy.export())
        self.manifest = manifest
        revision = template_revision(manifest)
        if revision != self.revision:
            log.info("revision_changed", extra={"from": self.revision, "to": revision})
            self._rollout_at = self.clock.wall()
            self._crashes.became_ready()
        self.revision = revision
        self.feed.stale_after_s = float(manifest.spec.fallback.stale_after_seconds)
        self.wake()

    def wake(self) -> None:
        """Something happened: make a pass soon."""
        self._wake.set()
        self.on_wake()

    def heard(self, line: dict[str, Any]) -> None:
        """A line of the orchestrator's statistics."""
        news = self.feed.is_news(line)
        self.feed.hear(line, self.clock.mono())
        if news:
            self.wake()

    @property
    def rollout_progress_at(self) -> float | None:
        """Wall clock, seconds: when the roll-out began or last made a runner ready."""
        return self._rollout_at

    async def run(self) -> None:
        """Passes until cancelled, or until a pool that is being deleted has no runner left.

        One that fails is told and made again: what the disk or the system refuses now it may
        grant later.
        """
        failed = ""
        while True:
            rest_s = TICK_S
            try:
                last = await self.reconcile()
            except Exception as why:
                if str(why) != failed:
                    known = isinstance(why, OSError)
                    log.warning(
                        "pass_failed", extra={"why": str(why)}, exc_info=None if known else why
                    )
                failed = str(why)
            else:
                failed = ""
                if self.deleting and not last.observed:
                    return
                rest_s = rest_after(last.plan, self.clock.wall())
            await self._rest(rest_s)

    async def _rest(self, rest_s: float) -> None:
        try:
            async with asyncio.timeout(rest_s):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def reconcile(self) -> Pass:
        """One pass."""
        now, mono = self.clock.wall(), self.clock.mono()
        observed = tuple(self.backend.observe())
        self._incarnations = {each.runner_id: each.incarnation for each in observed}
        fresh = self.feed.fresh(mono)
        counts = self.feed.take()
        self._starts_s = [*self._starts_s, *counts.startup_times_s][-50:]
        pool = look(
            observed, self.feed, counts, fresh=fresh,
            capacity=self.manifest.spec.sessions_per_runner,
            drain_on_cordon=self.manifest.spec.disruption.drain_on_cordon,
            expected_start_s=self._expected_start_s(), now=now, silent_since=self._silent_since,
        )  # fmt: skip
        self._note_failures(observed, pool.runners, now)
        sample = pool.sample
        settings = plan_settings(
            self.manifest, self.revision,
            serving_and_starting=sample.ready + sample.starting,
            demand=sample.in_flight + sample.queued,
        )  # fmt: skip
        decision = self.policy.decide(sample, mono)
        view = PoolView(
            runners=pool.runners, queued=sample.queued, fresh=fresh, settings=settings,
            deleting=self.deleting, may_create_at=self._may_create_at(observed, now, mono),
            rollout_progress_at=self._rollout_at,
        )  # fmt: skip
        # Looking at thousands of runners, deciding on them, declaring them: not in one go.
        await asyncio.sleep(0)
        planned = plan(view, decision, now)
        await self._tell_of_the_gone()
        called_off = await self._carry_out(planned, now, settings)
        last = Pass(
            observed, pool, settings, decision, planned, self.revision, fresh,
            self._crashes.failures, called_off, *self._pace(counts.arrivals, mono),
        )  # fmt: skip
        await asyncio.sleep(0)
        await self._declare(last, mono)
        self.on_pass(last)
        return last

    async def _carry_out(self, planned: Plan, now: float, settings: PlanSettings) -> int:
        """In order; how many ends were called off. Nothing is created in the place of what did
        not go after all, nor of a template that has changed since."""
        room, called_off = True, 0
        for kind, alike in groupby(planned.actions, type):
            if kind is Create and not (room and settings.revision == self.revision):
                self.wake()
                continue
            done = await asyncio.gather(*(self._apply(a, now, settings) for a in alike))
            if kind in (Commit, CancelStart):
                room = room and all(done)
            if kind is Commit:
                called_off += done.count(False)
        return called_off

    def _may_create_at(self, observed: tuple[Observed, ...], now: float, mono: float) -> float:
        """Wall clock. Runners that were found are heard of first, for as long as statistics may be
        silent: those that drain may do instead of new ones."""
        if self.feed.ever or not observed:
            return self._crashes.may_create_at
        listening_s = max(0.0, self._began + self.feed.stale_after_s - mono)
        return max(self._crashes.may_create_at, now + listening_s)

    async def _tell_of_the_gone(self) -> None:
        """What we know to be over the orchestrator need not wait for."""

        async def tell(name: str, instance: str) -> None:
            signal = self.feed.runners.get(name)
            known = signal is not None and signal.instance.startswith(instance)
            if not known or await self.link.gone(name, instance):
                del self._gone[name]

        await asyncio.gather(*(tell(*each) for each in self._gone.items()))

    def _pace(self, arrivals: int, mono: float) -> tuple[float | None, float | None]:
        """How often sessions come, and how long a runner takes to come."""
        self._rate.add(mono, arrivals)
        self._rate.estimate(1.0)
        seen = self._rate.recent(PACE_S) is not None
        ordered = sorted(self._starts_s)
        p95 = ordered[int(0.95 * (len(ordered) - 1))] if ordered else None
        return (self._rate.rate if seen else None), p95

    def _expected_start_s(self) -> float:
        if not self._starts_s:
            return 1.25 * self.manifest.spec.scaling.startup_seconds_hint
        ordered = sorted(self._starts_s)
        return max(1.0, ordered[int(0.9 * (len(ordered) - 1))])

    def _note_failures(
        self, observed: tuple[Observed, ...], runners: tuple[RunnerView, ...], now: float
    ) -> None:
        for runner in runners:
            new_and_ready = runner.phase is Phase.READY and runner.runner_id not in self._ready
            if new_and_ready:
                self._ready.add(runner.runner_id)
                if runner.revision == self.revision:
                    self._crashes.became_ready()
                    self._rollout_at = now if self._rollout_at is not None else None
        for each in observed:
            if each.phase is Phase.FAILED and each.runner_id not in self._failed:
                self._failed.add(each.runner_id)
                self._gone[each.runner_id] = each.incarnation
                if each.asked:
                    continue
                lived_s = now - each.created_at if each.runner_id in self._ready else 0.0
                self._crashes.failed(now, lived_s=lived_s)
        there = {o.runner_id for o in observed}
        self._failed &= there
        self._ready &= there
        self._told = {name: told for name, told in self._told.items() if name in there}

    async def _apply(self, action: Action, now: float, settings: PlanSettings) -> bool:
        """False when somebody else was first."""
        match action:
            case Create():
                log.info("creating", extra={"count": action.count, "revision": action.revision})
                await self.backend.create(action)
            case WriteIntent():
                written = await self.backend.write_intent(action)
                if written:
                    reason = action.after.reason.value if action.after.reason else "demand"
                    log.info(
                        "told",
                        extra={
                            "runner": action.runner_id,
                            "mode": action.after.mode.value,
                            "reason": reason,
                            "drain_epoch": action.after.drain_epoch,
                        },
                    )
                    await self._tell(Tell(action.runner_id, action.after), now, settings)
                return written
            case Tell():
                await self._tell(action, now, settings)
            case Commit():
                ended = await self.backend.commit(action)
                if ended:
                    log.info(
                        "ended",
                        extra={"runner": action.runner_id, "outcome": action.outcome},
                    )
                return ended
            case CancelStart():
                return await self.backend.cancel_start(action)
            case Forget():
                await self.backend.forget(action)
        return True

    async def _tell(self, action: Tell, now: float, settings: PlanSettings) -> None:
        """Send the command, at most once in `TELL_AGAIN_S` for the same epoch."""
        epoch, at = self._told.get(action.runner_id, (0, 0.0))
        if epoch == action.intent.drain_epoch and now - at < TELL_AGAIN_S:
            return
        self._told[action.runner_id] = (action.intent.drain_epoch, now)
        intent = action.intent
        if settings.on_timeout == "Keep":
            # A runner ends what is left at the deadline it is told, by itself.
            intent = structs.replace(intent, deadline=None)
        await self.link.tell(
            action.runner_id, intent, instance=self._incarnations.get(action.runner_id, ""),
            now=now, warn_before_s=settings.warn_before_s,
        )  # fmt: skip

    async def _declare(self, last: Pass, mono: float) -> None:
        """Tell the orchestrator about the pool, when something changed and every few seconds.

        Where nothing did since it was told, the link only says that it is still so. What does not
        stand any more is said at once: until then starts are refused that could wait for a runner.
        """
        gist = (last.decision.target, last.plan.reason, last.pool.sample.starting, self.deleting)
        stands = self.link.stands(self.manifest.agent_id)
        if stands and gist == self._declared and mono - self._declared_at < DECLARE_S:
            return
        body = declaration(self.manifest, last, opening=self._opening, deleting=self.deleting)
        body["status"] = self.status(last)
        if stands and body == self._said:
            self._declared_at = mono
            self.link.renew(self.manifest.agent_id)
            return
        closed = await self.link.declare(self.manifest.agent_id, body)
        if closed is None:
            return
        self._opening = False
        self._declared, self._declared_at, self._said = gist, mono, body | {"opening": False}
        if closed and not self.deleting:
            log.info("agent_deleted", extra={"agent": self.manifest.agent_id})
            self.deleting = True
            self.wake()


def rest_after(last: Plan, now: float) -> float:
    """How long to wait for the next pass when nothing happens, in seconds. Wall clock."""
    if last.next_at is None:
        return TICK_S
    return min(TICK_S, max(0.05, last.next_at - now))


def _sizing(manifest: AgentDeployment) -> tuple[object, ...]:
    """The parts of a manifest that a policy is made from."""
    spec = manifest.spec
    return spec.scaling, spec.replicas, spec.sessions_per_runner, spec.fallback
