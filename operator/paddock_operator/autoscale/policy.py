"""What a policy is, and which one sizes a pool."""

from collections.abc import Mapping
from typing import Protocol

from paddock_operator.autoscale.buffer import Buffer, BufferSettings
from paddock_operator.autoscale.horizon import Horizon, HorizonSettings
from paddock_operator.autoscale.learned import HorizonLearned, startup_times
from paddock_operator.autoscale.limits import Limits
from paddock_operator.autoscale.manual import Manual
from paddock_operator.autoscale.sample import Decision, PoolSample
from paddock_operator.model.lifecycle import Fallback
from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.model.scaling import BUFFER_WINDOW_S


class Policy(Protocol):
    """How a pool is sized. Pure: time comes as an argument, and nothing is read or written."""

    def decide(self, sample: PoolSample, now: float) -> Decision:
        """The size for this sample; `now` is monotonic, in seconds, and never goes back."""
        ...

    def export(self) -> dict[str, object]:
        """Learned state as plain JSON data, to be given back at the next start."""
        ...


def policy_for(
    manifest: AgentDeployment, learned: Mapping[str, object] | None, *, adopted: bool = False
) -> Policy:
    """The policy that `manifest` asks for.

    `learned` is what `export` gave before; implausible state is dropped as a whole. `adopted`
    says that runners were there already: then, or with learned state, the pool does not shrink
    before a start-up time and a minute have passed.
    """
    if manifest.spec.replicas is not None:
        return Manual(manifest.spec.replicas, learned)
    limits = Limits.of(manifest)
    policy = _automatic(manifest, limits, learned, adopted=adopted)
    fallback = manifest.spec.fallback
    if fallback.behavior == "Hold" or fallback.runners is None:
        return policy
    return WithFallback(policy, fallback, limits)


def _automatic(
    manifest: AgentDeployment,
    limits: Limits,
    learned: Mapping[str, object] | None,
    *,
    adopted: bool,
) -> Policy:
    scaling = manifest.spec.scaling
    if scaling.policy == "Buffer":
        window_s = BUFFER_WINDOW_S if scaling.hold_s is None else scaling.hold_s
        settings = BufferSettings(limits, scaling.startup_seconds_hint, window_s)
        return Buffer(settings, startup_times(learned), adopted=adopted)
    return Horizon(
        HorizonSettings(
            limits,
            objective=scaling.objective_percent / 100.0,
            startup_hint_s=scaling.startup_seconds_hint,
            mean_session_hint_s=scaling.mean_session_seconds_hint,
            hold_s=scaling.hold_s,
        ),
        HorizonLearned.from_json(learned),
        adopted=adopted,
    )


class WithFallback:
    """Another policy, overruled when there were no fresh statistics for too long."""

    def __init__(self, inner: Policy, fallback: Fallback, limits: Limits) -> None:
        self._inner = inner
        self._size = limits.clamp(fallback.runners or 0)
        self._may_lower = fallback.behavior == "Static"
        # A sample stops being fresh only when its statistics are that old already.
        self._patience_s = fallback.after_seconds - fallback.stale_after_seconds
        self._fresh_at: float | None = None

    def decide(self, sample: PoolSample, now: float) -> Decision:
        """The inner policy's size, or the fallback's."""
        decision = self._inner.decide(sample, now)
        if sample.fresh or self._fresh_at is None:
            self._fresh_at = now
        if sample.fresh or now - self._fresh_at < self._patience_s:
            return decision
        if self._size > decision.target or (self._may_lower and self._size < decision.target):
            reason = f"{decision.reason}; {self._size} by the fallback without statistics"
            return Decision(self._size, decision.wanted, reason, decision.limited, by_fallback=True)
        return decision

    def export(self) -> dict[str, object]:
        """What the inner policy learned."""
        return self._inner.export()
