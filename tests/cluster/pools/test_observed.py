"""An operator under a real Prometheus: whatever its dashboard and its alerts ask for has data."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from fakes.operated import Operated
from fakes.prometheus import Prometheus, Unanswered, lint
from fakes.shown import alerts, expressions_of, selectors_of
from fakes.waiting import eventually
from observability.dashboards import FOLDER

pytestmark = [
    pytest.mark.api, pytest.mark.timeout(400), pytest.mark.usefixtures("prometheus_tools"),
]  # fmt: skip


def asked_of_an_operator() -> set[str]:
    asked = set(expressions_of(json.loads((FOLDER / "operator.json").read_text())))
    looked_at = {one for rule in alerts().values() for one in selectors_of(rule["expr"])}
    return asked | {one for one in looked_at if one.startswith("paddock_operator_")}


@pytest.fixture
async def prometheus(world: Operated, tmp_path: Path) -> AsyncIterator[Prometheus]:
    await eventually(
        lambda: world.operator.said("standing_by"), within_s=45, what="probes of the operator"
    )
    port = httpx.URL(world.operator.probes).port or 0
    made = Prometheus(tmp_path, {"operator": port})
    try:
        await made.start()
        async with httpx.AsyncClient(trust_env=False) as http:
            await asyncio.to_thread(lint, (await http.get(f"http://127.0.0.1:{port}/metrics")).text)
        yield made
    finally:
        made.kill()


async def test_every_query_of_the_operators_dashboard_and_alerts_has_data(
    world: Operated, prometheus: Prometheus
) -> None:
    """A quota refuses a pod: requests fail, and a start does."""
    unanswered = Unanswered(prometheus, asked_of_an_operator())
    await world.apply()
    await world.settled(1)
    quotas = f"/api/v1/namespaces/{world.namespace}/resourcequotas"
    await world.put("v1", "ResourceQuota", quotas, "none", spec={"hard": {"pods": "0"}})
    await world.quota_in_force()
    await world.patch({"replicas": 2})
    await unanswered.none_left(within_s=90)

    async def refused() -> bool:
        failures = await prometheus.query("sum(paddock_pool_start_failures_total)")
        return float(failures[0]["value"][1]) >= 1

    await eventually(refused, within_s=60, what="a start that failed")


async def test_an_operator_that_is_gone_is_told_of(world: Operated, prometheus: Prometheus) -> None:
    leaders = alerts()["PaddockNoLeader"]["expr"]

    async def leads() -> bool:
        return not await prometheus.query(leaders)

    await eventually(leads, within_s=60, what="a leader")
    world.operator.kill()

    async def nobody() -> bool:
        return bool(await prometheus.query(leaders))

    await eventually(nobody, within_s=60, what="no leader")
