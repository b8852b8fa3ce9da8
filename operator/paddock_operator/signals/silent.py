"""No orchestrator to talk to: nothing is heard, and nothing can be said."""

from typing import Any

from paddock_operator.plan.view import Intent


class SilentLink:
    """Stands where a link does while a pool has none. Every answer is that it was not heard."""

    problem = "no connection"

    async def declare(self, agent: str, declaration: dict[str, Any]) -> bool | None:
        return None

    def stands(self, agent: str) -> bool:
        return False

    def renew(self, agent: str) -> None:
        pass

    async def tell(
        self, runner_id: str, intent: Intent, *, instance: str, now: float, warn_before_s: float
    ) -> bool:
        return False

    async def gone(self, runner_id: str, instance: str) -> bool:
        return False
