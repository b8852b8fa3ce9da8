"""What a plan asks a backend to do. Applying a plan and planning again yields an empty plan."""

from dataclasses import dataclass

import msgspec

from paddock_operator.plan.view import Intent


class Create(msgspec.Struct, frozen=True):
    revision: str
    count: int


class WriteIntent(msgspec.Struct, frozen=True):
    """Compare-and-swap the runner's intent from `before` to `after`, then tell it (write-ahead).

    A lost race is no error: the next view shows who won.
    """

    runner_id: str
    before: Intent
    after: Intent


class Tell(msgspec.Struct, frozen=True):
    """Send the runner the command of its written intent again: it has not answered yet."""

    runner_id: str
    intent: Intent


class Commit(msgspec.Struct, frozen=True):
    """End the runner for good, only if its intent is still exactly `intent`."""

    runner_id: str
    intent: Intent
    outcome: str
    """"done" (it reported itself empty) | "timeout" (its deadline passed)"""
    cut: int = 0
    """Sessions it still held when the deadline passed."""


class CancelStart(msgspec.Struct, frozen=True):
    """Withdraw a runner that was never placed."""

    runner_id: str


class Forget(msgspec.Struct, frozen=True):
    """Clean up after a runner whose process or pod is over."""

    runner_id: str


Action = Create | WriteIntent | Tell | Commit | CancelStart | Forget


@dataclass(frozen=True, slots=True)
class Plan:
    actions: tuple[Action, ...]
    reason: str
    """One sentence for status, log and `paddock status`."""
    next_at: float | None = None
    """Wall clock, seconds: when time alone may change the plan."""
