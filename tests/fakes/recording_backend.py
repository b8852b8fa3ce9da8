"""A pool backend that shows what it is given, and writes down what it is asked for."""

from collections.abc import Sequence

from paddock_operator.plan.actions import Action, CancelStart, Commit, Create, Forget, WriteIntent
from paddock_operator.reconcile.backend import Observed


class RecordingBackend:
    """Everything is done at once, and shows nowhere."""

    def __init__(self, *observed: Observed) -> None:
        self.observed = observed
        self.asked: list[Action] = []
        self.withdraws = True

    def observe(self) -> Sequence[Observed]:
        return self.observed

    async def create(self, action: Create) -> None:
        self.asked.append(action)

    async def write_intent(self, action: WriteIntent) -> bool:
        self.asked.append(action)
        return True

    async def commit(self, action: Commit) -> bool:
        self.asked.append(action)
        return True

    async def cancel_start(self, action: CancelStart) -> bool:
        self.asked.append(action)
        return self.withdraws

    async def forget(self, action: Forget) -> None:
        self.asked.append(action)
