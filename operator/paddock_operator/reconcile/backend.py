"""The pool backend port: the only thing that differs between a laptop and a cluster."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from paddock_operator.plan.actions import CancelStart, Commit, Create, Forget, WriteIntent
from paddock_operator.plan.view import Intent, Phase


class Observed(msgspec.Struct, frozen=True):
    """One runner as its backend sees it: PENDING, STARTING (it runs), TERMINATING or FAILED."""

    runner_id: str
    revision: str
    phase: Phase
    created_at: float
    intent: Intent = Intent()
    node: str = ""
    cordoned: bool = False
    asked: bool = False
    """It was told to go: its end is no failure."""
    failure: str = ""
    """How it ended, in one line."""
    incarnation: str = ""
    """What the instance of this very runner begins with, where names are used again: what is heard
    of an earlier runner of the name must not be taken for its word."""
    placed_at: float | None = None
    """Since when it has a place to run at, where that is another time than `created_at`."""


class PoolBackend(Protocol):
    """Makes, marks and ends runners. Every write is compared with what is stored first."""

    def observe(self) -> Sequence[Observed]:
        """Every runner there is, without waiting."""
        ...

    async def create(self, action: Create) -> None: ...

    async def write_intent(self, action: WriteIntent) -> bool:
        """Store the intent durably; False when somebody else wrote first."""
        ...

    async def commit(self, action: Commit) -> bool:
        """End the runner for good, if its stored intent is still the commit's."""
        ...

    async def cancel_start(self, action: CancelStart) -> bool:
        """Withdraw it; False when it has begun to run meanwhile."""
        ...

    async def forget(self, action: Forget) -> None: ...
