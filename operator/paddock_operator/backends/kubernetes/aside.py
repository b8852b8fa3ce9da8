"""The link of a pool that stands aside: another one has its agent, and declares it."""

from typing import Any

from paddock_operator.plan.view import Intent
from paddock_operator.reconcile.reconciler import Link


class AsideLink:
    """Says all that a link does of runners, and nothing of the pool."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def declare(self, agent: str, declaration: dict[str, Any]) -> bool | None:
        return None

    def stands(self, agent: str) -> bool:
        return False

    def renew(self, agent: str) -> None:
        pass

    async def tell(
        self, runner_id: str, intent: Intent, *, instance: str, now: float, warn_before_s: float
    ) -> bool:
        return await self._link.tell(
            runner_id, intent, instance=instance, now=now, warn_before_s=warn_before_s
        )

    async def gone(self, runner_id: str, instance: str) -> bool:
        return await self._link.gone(runner_id, instance)
