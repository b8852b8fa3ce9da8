"""Variants of the code that each break one rule: a simulation is worth what it finds of them.

The rules of the drain itself are tried one by one in the model check, which sees every order.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import Any

from msgspec import structs

from fakes import drain_wrongs as wrongs
from paddock.protocol import control
from paddock.protocol.barrier import Barrier, Report
from paddock.protocol.runner_link import RunnerLink
from paddock.protocol.words import Mode, Refusal
from paddock_operator.backends.kubernetes import backend, pods
from paddock_operator.backends.kubernetes.backend import KubernetesBackend
from paddock_operator.backends.kubernetes.errors import Conflict, NotFound
from paddock_operator.backends.kubernetes.pod_store import PodStore
from paddock_operator.plan.drain import DrainRules, next_intent
from paddock_operator.plan.planner import plan
from paddock_operator.plan.view import DrainReason, Intent
from paddock_operator.reconcile import reconciler
from paddock_operator.reconcile.reconciler import Reconciler
from paddock_operator.signals.feed import Feed

Patch = tuple[Any, str, Any]


@dataclass(frozen=True)
class Wrong:
    patches: tuple[Patch, ...] = ()
    theme: tuple[str, ...] | None = None
    """The troubles in which it shows soonest."""
    runner_link: Callable[..., RunnerLink] = field(default=RunnerLink)
    first: int = 1
    """The world in which it was last seen to show; it is looked for from there on."""

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """The code is as wrong as this says, for so long."""
        right = [(where, name, getattr(where, name)) for where, name, _ in self.patches]
        try:
            for where, name, value in self.patches:
                setattr(where, name, value)
            yield
        finally:
            for where, name, value in right:
                setattr(where, name, value)


def _rules(rules: DrainRules) -> Wrong:
    return Wrong(((reconciler, "plan", partial(plan, rules=rules)),))


def _undrain_at_the_same_epoch(
    intent: Intent, mode: Mode, reason: DrainReason | None, now: float, timeout_s: float
) -> Intent:
    after = next_intent(intent, mode, reason, now, timeout_s)
    if mode is Mode.SERVE:
        return structs.replace(after, drain_epoch=intent.drain_epoch)
    return after


async def _delete_whatever_it_became(self: KubernetesBackend, pod: pods.PodView) -> None:
    await self._client.delete(f"{self._path}/{pod.name}", uid=pod.uid)


async def _swap_by_name(
    self: KubernetesBackend, name: str, holds: Callable[[pods.PodView], bool], write: Any
) -> bool:
    pod = self.pods().get(name)
    for _ in range(backend.TRIES):
        if pod is None or not holds(pod):
            return False
        try:
            await write(pod)
            return True
        except NotFound:
            return False
        except Conflict:
            pod = await self._read(name)
    return False


async def _tell_any_of_the_name(self: Reconciler, action: Any, now: float, settings: Any) -> None:
    self._incarnations = {}
    await _tell(self, action, now, settings)


async def _tell_a_deadline_that_is_kept(
    self: Reconciler, action: Any, now: float, settings: Any
) -> None:
    await _tell(self, action, now, replace(settings, on_timeout="Terminate"))


_tell = Reconciler._tell
_numbers = count()


def _new_name_each_time(pool: str, revision: str, slot: int) -> str:
    return f"{pool}-{revision}-x{next(_numbers)}"


def _learn_nothing(self: PodStore, pod: dict[str, Any]) -> pods.PodView:
    return pods.pod_view(pod)


async def _no_pods(self: KubernetesBackend) -> bool:
    return False


class _AnyRoom:
    """Creates although nothing went."""

    async def carry_out(self: Any, planned: Any, now: float, settings: Any) -> int:
        for action in planned.actions:
            await self._apply(action, now, settings)
        return 0


class _Taking(RunnerLink):
    """Takes calls while it drains."""

    def _book(self, assign: control.JobAssign, now: float) -> tuple[Refusal | None, int | None]:
        real, self.barrier = self.barrier, Barrier(booked=self.barrier.booked)
        try:
            answer = super()._book(assign, now)
            for job in self.barrier.booked:
                real._booked.add(job)
        finally:
            self.barrier = real
        return answer


class _Optimist(Barrier):
    """Reports nothing for what it holds."""

    __slots__ = ()

    def report(self) -> Report:
        return Report(self.drain_epoch, self.mode, 0)


def _with_barrier(kind: type[Barrier]) -> Callable[..., RunnerLink]:
    def link(*, barrier: Barrier, **more: Any) -> RunnerLink:
        own = kind(barrier.drain_epoch, barrier.mode)
        return RunnerLink(barrier=own, **more)

    return link


WRONG: dict[str, Wrong] = {
    "whoever is not heard of is idle": _rules(DrainRules(may_commit=wrongs.commit_when_absent)),
    "idle statistics end a runner": _rules(DrainRules(may_commit=wrongs.commit_on_idle_statistics)),
    "an un-drain keeps the epoch": _rules(DrainRules(next_intent=_undrain_at_the_same_epoch)),
    "the stored intent is not compared before the end": Wrong(
        (
            (backend, "commit_holds", lambda stored, commit: True),
            (KubernetesBackend, "_delete", _delete_whatever_it_became),
        ),
        first=7,
    ),
    "the end does not carry the version": Wrong(
        ((KubernetesBackend, "_delete", _delete_whatever_it_became),), first=7
    ),
    "old statistics are as good as new": Wrong(
        ((Feed, "fresh", lambda self, now: True),), ("orchestrator_outage", "flap")
    ),
    "a pod of the same name is the same": Wrong(
        ((KubernetesBackend, "_swap", _swap_by_name),),
        ("two_operators", "crash_runner", "force_delete", "bad_template"),
        first=11,
    ),
    "a command is for whoever has the name": Wrong(
        ((Reconciler, "_tell", _tell_any_of_the_name),),
        ("force_delete", "cordon"),
    ),
    "a runner is told a deadline that the pool does not keep": Wrong(
        ((Reconciler, "_tell", _tell_a_deadline_that_is_kept),)
    ),
    "what was created is not remembered": Wrong(
        (
            (backend, "pod_name", _new_name_each_time),
            (pods, "pod_name", _new_name_each_time),
            (PodStore, "learn", _learn_nothing),
        )
    ),
    "the pool goes when the watch shows no pod": Wrong(
        ((KubernetesBackend, "has_pods", _no_pods),), ("recreate", "two_operators"), first=25
    ),
    "a new runner takes the place of one that stayed": Wrong(
        ((Reconciler, "_carry_out", _AnyRoom.carry_out),), ("roll_out", "resize", "api_outage")
    ),
    "a call is taken while draining": Wrong(runner_link=_Taking),
    "calls are not reported": Wrong(runner_link=_with_barrier(_Optimist)),
}
