"""The same runners under a Deployment and under an AgentDeployment, scaled down under live calls.

Four runners with two slots each, as processes that get real signals; six calls of 45 s; three
seconds later `kubectl scale --replicas=1`. Counted: calls that were cut or lost. The Deployment is
as most are, with the 30 s that a pod is given to end, and once more with as long as ours are given.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from bench.cluster.world import a_cluster
from bench.rows import Row, limited
from fakes.operated import AGENT, Operated, operated
from fakes.process_kubelet import SCHEDULER
from fakes.waiting import eventually
from paddock.client.callers import Script, Tally, play_all

RUNNERS, SLOTS, CALLS, HOLD_S = 4, 2, 6, 45.0
DRAIN_S = 90
_NAMESPACE = "bench"


def bench(*, quick: bool) -> list[Row]:
    """The rows of this benchmark."""
    with a_cluster() as cluster, tempfile.TemporaryDirectory(prefix="paddock-bench-") as folder:
        cluster.kubectl_run("create", "namespace", _NAMESPACE)

        def scale(what: str, replicas: int) -> None:
            cluster.kubectl_run("scale", "-n", _NAMESPACE, what, f"--replicas={replicas}")

        return asyncio.run(_bench(cluster.kubeconfig, Path(folder), scale, 6 if quick else HOLD_S))


async def _bench(kubeconfig: Path, folder: Path, scale: Any, hold_s: float) -> list[Row]:
    async with operated(kubeconfig, _NAMESPACE, folder) as world:
        patient_s = DRAIN_S + 60
        cases = (
            (
                "plain", "deployment/plain", f"Deployment, {RUNNERS} to 1, 30 s of grace",
                _deployment(world, "plain", 30),
            ),
            (
                "patient", "deployment/patient",
                f"Deployment, {RUNNERS} to 1, {patient_s} s of grace",
                _deployment(world, "patient", patient_s),
            ),
            (
                "desk", "agentdeployment/desk", f"AgentDeployment, {RUNNERS} to 1",
                world.apply(replicas=RUNNERS, drain={"timeoutSeconds": DRAIN_S}),
            ),
        )  # fmt: skip
        return [
            await _case(world, agent, what, name, begin, scale, hold_s)
            for agent, what, name, begin in cases
        ]


async def _case(
    world: Operated, agent: str, what: str, name: str, begin: Any, scale: Any, hold_s: float
) -> Row:
    await begin

    async def there() -> bool:
        runners = await world.server.get("/v1/runners")
        here = [r for r in runners if r["agent"] == agent and r["connected"]]
        return len(here) == RUNNERS

    await eventually(there, within_s=90, what=f"the runners of {agent}")
    tally = Tally()
    async with world.caller() as client:
        script = Script(lines=("Hello!", "Bye then."), hold_s=hold_s, answer_timeout_s=hold_s)
        playing = asyncio.create_task(play_all(client, agent, [0.0] * CALLS, script, tally))
        await asyncio.sleep(3)
        await asyncio.to_thread(scale, what, 1)
        await playing
        await asyncio.to_thread(scale, what, 0)
    lost = tally.cut + tally.lost + tally.failed
    found = tally.summary()
    note = f"of {found['started']} calls: {found['completed']} completed"
    if agent == "desk":
        return limited(f"calls cut: {name}", lost, "calls", 0.0, note=note)
    return Row(f"calls cut: {name}", lost, "calls", note=note)


async def _deployment(world: Operated, agent: str, grace_s: int) -> None:
    settings = {
        "PADDOCK_BASE_URL": world.server.url, "PADDOCK_AGENT_ID": agent,
        "PADDOCK_MAX_SESSIONS": str(SLOTS), "PADDOCK_DRAIN_TIMEOUT_S": str(DRAIN_S),
    }  # fmt: skip
    env: list[dict[str, Any]] = [{"name": n, "value": v} for n, v in settings.items()]
    name = {"fieldRef": {"fieldPath": "metadata.name"}}
    key = {"secretKeyRef": {"name": "keys", "key": "runnerKey"}}
    env.append({"name": "PADDOCK_RUNNER_ID", "valueFrom": name})
    env.append({"name": "PADDOCK_API_KEY", "valueFrom": key})
    container = {"name": "agent", "image": "none", "command": ["python", str(AGENT)], "env": env}
    pod = {
        "schedulerName": SCHEDULER, "terminationGracePeriodSeconds": grace_s,
        "containers": [container],
    }  # fmt: skip
    labels = {"agent": agent}
    spec = {
        "replicas": RUNNERS, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }  # fmt: skip
    path = f"/apis/apps/v1/namespaces/{world.namespace}/deployments"
    await world.put("apps/v1", "Deployment", path, agent, spec=spec)
