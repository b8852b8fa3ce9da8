"""Quotas of a real API server, which counts what is there before it refuses by them."""

from typing import Any

from fakes.waiting import eventually
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.errors import Forbidden, QuotaExceeded


async def in_force(client: KubeClient, path: str, body: dict[str, Any]) -> None:
    """Once such an object would be refused at this path by the quota that there is now."""

    async def refused() -> bool:
        try:
            await client.dry_run_create(path, body)
        except QuotaExceeded:
            return True
        except Forbidden:
            pass  # the quota is known, but its use is not counted yet
        return False

    await eventually(refused, within_s=60, what="the quota in force")
