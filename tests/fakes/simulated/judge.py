"""What must hold after every step, checked against the truth that no operator can see."""

from collections import deque
from collections.abc import Mapping
from typing import Any, NoReturn, Protocol

from fakes.simulated.api_server import Json, Written
from fakes.simulated.runner import RunnerProcess
from paddock.protocol.words import Mode
from paddock_operator.backends.kubernetes.intents import intent_of
from paddock_operator.backends.kubernetes.words import FINALIZER, POOL
from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.model.resource import parse_resource
from paddock_operator.plan.view import DrainReason, Intent

SKEW_S = 2.0
"""Clocks differ by no more."""
REQUEST_S = 40.0
"""A request, with all its attempts, takes effect within so much."""
FOR_DEMAND = (DrainReason.SCALE_DOWN, DrainReason.ROLLOUT)


class Broken(BaseException):
    """A promise was not kept. No `except Exception` of the code under test swallows it."""


class Witness(Protocol):
    """The truth."""

    @property
    def now(self) -> float: ...
    @property
    def runners(self) -> Mapping[str, RunnerProcess]:
        """By the pod's uid."""
        ...

    def pods(self) -> list[Json]: ...
    def pools(self) -> list[Json]: ...
    def wall(self) -> float: ...
    def heard_at(self, operator: str) -> float | None:
        """When this operator last took statistics in; None for who is none, or is gone."""
        ...

    def may_have(self, operator: str) -> int | None:
        """How many pods this operator may think right."""
        ...


class Judge:
    def __init__(self, world: Witness) -> None:
        self._world = world
        self.steps = 0
        self.trace: deque[str] = deque(maxlen=400)
        self.counts: dict[str, int] = {}
        self._written: dict[str, list[Intent]] = {}
        """Every intent that was ever stored, by the pod's uid."""
        self._made: dict[str, tuple[str, float]] = {}
        """By whom and when each pod was created."""
        self._committed: set[str] = set()
        """Pods that an operator has ended with nothing on them."""
        self._timeouts: list[tuple[float, str]] = [(float("-inf"), "Terminate")]
        """Since when the pool has said what about deadlines."""
        self._problem = ""

    def step(self, what: str) -> None:
        if self._problem:
            raise Broken(self._problem)
        self.steps += 1
        self.trace.append(f"{self._world.now:9.3f} {what}")

    def broken(self, why: str) -> NoReturn:
        self._problem = self._problem or why
        raise Broken(why)

    def check(self) -> None:
        """Raise what was found where nobody could hear it."""
        if self._problem:
            raise Broken(self._problem)

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    # -- what is written --------------------------------------------------------------------

    def wrote(self, write: Written) -> None:
        kind = write.path.split("/")[-2]
        after = write.after
        version = "gone" if after is None else after["metadata"]["resourceVersion"]
        self.step(f"{write.who} wrote {write.path.rpartition('/')[2]}: {version}")
        if kind == "pods":
            self._pod_written(write)
        elif kind == "agentdeployments":
            self._pool_written(write)
        elif kind == "controllerrevisions" and after is None:
            self._revision_forgotten(write.who)

    def _pod_written(self, write: Written) -> None:
        before, after = write.before, write.after
        ours = write.who.startswith("operator")
        if before is None:
            assert after is not None
            uid = after["metadata"]["uid"]
            self._written[uid] = [_intent(after)]
            self._made[uid] = (write.who, self._world.now)
            if ours:
                self._created(write.who)
            return
        uid = before["metadata"]["uid"]
        if after is not None and _intent(after) != _intent(before):
            self._intent_written(write.who, uid, before, _intent(after))
        leaves = after is None or "deletionTimestamp" in after["metadata"]
        if ours and leaves and "deletionTimestamp" not in before["metadata"]:
            self._ended(write.who, before)

    def _created(self, who: str) -> None:
        self._count("created")
        allowed = self._world.may_have(who)
        there = sum(_counts(pod) for pod in self._world.pods())
        if allowed is not None and there > allowed:
            self.broken(f"{who} created a pod: there are {there}, {allowed} are allowed")

    def _intent_written(self, who: str, uid: str, before: Json, new: Intent) -> None:
        old = _intent(before)
        self._count(f"wrote {new.mode} {new.reason or ''}".strip())
        if new.drain_epoch != old.drain_epoch + 1:
            self.broken(f"the intent of {uid} went from {old} to {new}")
        if "deletionTimestamp" in before["metadata"]:
            self.broken(f"{who} wrote {new} for {uid}, which is on its way out")
        heard_at = self._world.heard_at(who)
        stale_s = 15.0 + 8.0  # what a request may take
        if new.reason in FOR_DEMAND and heard_at is not None:
            silent_s = self._world.now - heard_at
            if silent_s > stale_s:
                self.broken(f"{who} drains {uid} for {new.reason}, {silent_s:.0f} s after news")
        self._written[uid].append(new)

    def _ended(self, who: str, pod: Json) -> None:
        """An operator's DELETE went through."""
        uid, name = pod["metadata"]["uid"], pod["metadata"]["name"]
        runner = self._world.runners.get(uid)
        if pod["status"]["phase"] in ("Failed", "Succeeded") or not pod["spec"].get("nodeName"):
            self._count("cleaned up")
            return
        intent = _intent(pod)
        if self._deadline_passed(intent):
            self._count("ended at the deadline")
            return
        if runner is None or not runner.alive:
            # It has not begun, or is over and kubelet has not said so: nothing can be cut.
            if intent.mode is not Mode.DRAIN and not _waits(pod):
                self.broken(f"{who} ended {name}, which was not drained")
            return
        barrier = runner.link.barrier
        if runner.calls or barrier.booked:
            self.broken(f"{who} ended {name} with {len(runner.calls)} calls, at {intent}")
        if barrier.mode is not Mode.DRAIN or barrier.drain_epoch != intent.drain_epoch:
            self.broken(
                f"{who} ended {name} at {intent.drain_epoch}, while it was at"
                f" {barrier.drain_epoch} {barrier.mode}"
            )
        self._committed.add(uid)
        self._count("committed")

    def _deadline_passed(self, intent: Intent) -> bool:
        if intent.deadline is None or "Terminate" not in self._said_since(intent.since or 0.0):
            return False
        return self._world.wall() + SKEW_S >= intent.deadline

    def _said_since(self, since: float) -> set[str]:
        """What the pool said about deadlines from then on."""
        said = [word for at, word in self._timeouts if at >= since - SKEW_S]
        earlier = [word for at, word in self._timeouts if at < since - SKEW_S]
        return {*said, *earlier[-1:]}

    def _pool_written(self, write: Written) -> None:
        before, after = write.before, write.after
        if after is not None and (before is None or before.get("spec") != after["spec"]):
            parsed = parse_resource(after).parsed
            assert isinstance(parsed, AgentDeployment), parsed
            self._timeouts.append((self._world.wall(), parsed.spec.drain.on_timeout))
        if before is None:
            return
        had = FINALIZER in before["metadata"].get("finalizers", ())
        has = after is not None and FINALIZER in after["metadata"].get("finalizers", ())
        if had and not has:
            if left := self._left_of(before, write.who):
                self.broken(f"{write.who} let a pool go while there is {left}")
            self._count("let a pool go")

    def _revision_forgotten(self, who: str) -> None:
        """One of many may go at any time; the last go with the pool."""
        for pool in self._world.pools():
            left = self._left_of(pool, who)
            if left and "deletionTimestamp" in pool["metadata"]:
                self.broken(f"{who} forgot a revision while the pool that ends has {left}")

    def _left_of(self, pool: Json, who: str) -> str:
        """Pods of this pool that are there, and that this operator can know of."""
        uid = pool["metadata"]["uid"]
        pods = [p for p in self._world.pods() if _owner(p) == uid and self._knew(who, p)]
        return ", ".join(pod["metadata"]["name"] for pod in pods)

    def _knew(self, who: str, pod: Json) -> bool:
        """What another operator creates at this moment nobody can know."""
        creator, at = self._made[pod["metadata"]["uid"]]
        return creator == who or self._world.now - at > REQUEST_S

    # -- what is said -----------------------------------------------------------------------

    def told(self, runner_id: str, intent: Intent, instance: str) -> None:
        for pod in self._world.pods():
            uid = pod["metadata"]["uid"]
            if pod["metadata"]["name"] == runner_id and uid.startswith(instance):
                written = {(each.drain_epoch, each.mode) for each in self._written[uid]}
                if (intent.drain_epoch, intent.mode) in written:
                    return
                if instance:  # else it may be meant for an earlier pod of the name
                    self.broken(f"{runner_id} was told {intent}, which was never written")

    # -- what runners do --------------------------------------------------------------------

    def accepted(self, runner: RunnerProcess) -> None:
        self.step(f"{runner.place.pod} takes a call")
        self._count("calls")
        if runner.place.uid in self._committed:
            self.broken(f"{runner.place.pod} took a call after it was ended")

    def cut(self, runner: RunnerProcess, why: str) -> None:
        self.step(f"{runner.place.pod} loses {len(runner.calls)} calls: {why}")
        self._count(f"lost: {why}")
        if why == "its drain's deadline":
            if runner.link.leaving:
                return  # asked to go by somebody who does not ask
            intents = self._written[runner.place.uid]
            if not any(self._deadline_passed(intent) for intent in intents):
                self.broken(f"{runner.place.pod} cut calls at a deadline that was none: {intents}")

    def exited(self, runner: RunnerProcess) -> None:
        self.step(f"{runner.place.pod} is over")


def _intent(pod: Json) -> Intent:
    return intent_of(pod["metadata"].get("annotations") or {})


def _owner(pod: Mapping[str, Any]) -> str:
    return str(pod["metadata"]["ownerReferences"][0]["uid"])


def _waits(pod: Json) -> bool:
    """Kubelet says that its container does not run."""
    statuses = pod["status"].get("containerStatuses", ())
    return any("waiting" in one["state"] for one in statuses)


def _counts(pod: Json) -> bool:
    """It costs money: neither over nor on its way out."""
    ended = pod["status"]["phase"] in ("Failed", "Succeeded")
    return (
        POOL in pod["metadata"]["labels"]
        and not ended
        and "deletionTimestamp" not in pod["metadata"]
    )
