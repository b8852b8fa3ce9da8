"""`paddock doctor --cluster` on a cluster with a pool."""

import pytest

from fakes.operated import Operated
from paddock.findings import Finding
from paddock_operator.backends.kubernetes.checks import cluster_findings

pytestmark = [pytest.mark.api, pytest.mark.timeout(400)]


async def found(world: Operated) -> dict[str, Finding]:
    look = cluster_findings(str(world.kubeconfig), None, world.namespace)
    return {finding.about: finding async for finding in look}


async def test_a_pool_that_is_well_is_found_well(world: Operated) -> None:
    await world.apply()
    await world.settled(1)
    await world.condition("Available", "True")
    await world.connection_condition("True", "Connected")
    findings = await found(world)
    assert {finding.verdict for finding in findings.values()} == {"ok"}, findings
    assert f"pool {world.namespace}/desk" in findings


async def test_what_ails_a_pool_and_its_connection_is_named(world: Operated) -> None:
    await world.begin_anew_with("sk_wrong")
    await world.apply()
    await world.condition("OrchestratorReachable", "False", "Unauthorized")
    await world.connection_condition("False", "Unauthorized")
    findings = await found(world)
    for about in (f"connection {world.namespace}/default", f"pool {world.namespace}/desk"):
        assert findings[about].verdict == "wrong"
        assert "kubectl" in findings[about].fix
