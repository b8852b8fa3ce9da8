"""What the benchmarks of the operator share: an API server, a stub of nodes, and an operator.

Runners are rows of `told.py`; the pods are bound and made Ready by `fakes.stub_kubelet`. Beside it
runs `raw.py`, which does the same writes without any operator: the reference.
"""

import asyncio
import contextlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import httpx

from bench.cluster.told import ToldOrchestrator
from bench.harness import BenchError
from fakes.operated import OperatorProcess
from fakes.stub_kubelet import SCHEDULER, StubKubelet
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.errors import NotFound
from paddock_operator.backends.kubernetes.informer import Informer
from paddock_operator.backends.kubernetes.mirror import Key
from paddock_operator.backends.kubernetes.words import MANAGED_BY, MANAGER, POOL, pools_path
from testbed import cluster as clusters
from testbed import doctor
from testbed.cluster import Cluster
from testbed.places import clusters_folder
from testbed.tiers import Tier

Json = dict[str, Any]
NAMESPACE = "bench"
NODE = "bench-node"
_COUNT = re.compile(r"^paddock_operator_apiserver_request_seconds_count\{(.*)\} (\S+)$", re.M)
_LABEL = re.compile(r'(\w+)="(.*?)"')
_LOOK_S = 0.02
_SCRAPES = 60
_TESTS = Path(__file__).resolve().parents[2]


class RawProcess:
    """`raw.py`, asked for one thing after the other."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig

    async def __aenter__(self) -> Self:
        self._child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.cluster.raw", "--kubeconfig", str(self._kubeconfig),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24,
            env={**os.environ, "PYTHONPATH": str(_TESTS)},
        )  # fmt: skip
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()
        await self._child.wait()

    async def do(self, what: str, **how: Any) -> Json:
        stdin, stdout = self._child.stdin, self._child.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"do": what, **how}).encode() + b"\n")
        line = await stdout.readline()
        if not line:
            raise BenchError(f"the raw client failed at {what}; see above")
        answer: Json = json.loads(line)
        return answer


class RowPlayer:
    """Plays a pod as a row of the statistics; a pod that is not the operator's as nothing."""

    def __init__(self, told: ToldOrchestrator) -> None:
        self._told = told
        self.held = 0
        """Sessions that a runner has from its first moment."""

    async def start(self, pod: Json, again: Callable[[], None]) -> "_Row":
        labels = pod["metadata"]["labels"]
        name = pod["metadata"]["name"]
        if labels.get(MANAGED_BY) == MANAGER:
            env = {e["name"]: e.get("value") for e in pod["spec"]["containers"][0]["env"]}
            self._told.register(
                name, env["PADDOCK_AGENT_ID"], pod["metadata"]["uid"],
                capacity=int(env["PADDOCK_MAX_SESSIONS"]), held=self.held,
            )  # fmt: skip
        return _Row(name, self._told, again)


class _Row:
    def __init__(self, name: str, told: ToldOrchestrator, again: Callable[[], None]) -> None:
        self.exit_code: int | None = None
        self._name, self._told, self._again = name, told, again

    def terminate(self) -> None:
        self._told.left(self._name)
        self.exit_code = 0
        self._again()

    def kill(self) -> None:
        self._told.left(self._name)
        self.exit_code = 137


class Seen:
    """Pods as a watch brings them; awaited by condition."""

    def __init__(self, client: KubeClient) -> None:
        self._informer: Informer[Json] = Informer(
            client, f"/api/v1/namespaces/{NAMESPACE}/pods", "", lambda pod: pod,
            on_change=self._changed,
        )  # fmt: skip
        self.pods = self._informer.store
        self.added: dict[str, float] = {}
        """When each name was first seen. Monotonic seconds."""
        self.deletions: set[str] = set()
        self.drains: set[str] = set()
        self.run = self._informer.run

    def _changed(self, key: Key, old: Json | None, new: Json | None) -> None:
        if old is None:
            self.added[key.name] = time.monotonic()
        if new is not None and "deletionTimestamp" in new["metadata"]:
            self.deletions.add(key.name)
        if new is not None and mode_of(new) == "drain":
            self.drains.add(key.name)

    async def until(
        self, what: str, holds: Callable[[], bool], *, within_s: float = 600.0
    ) -> float:
        """When `holds` was first seen to hold, at most 0.02 s late. Monotonic seconds."""
        deadline = time.monotonic() + within_s
        while not holds():
            await asyncio.sleep(_LOOK_S)
            if time.monotonic() > deadline:
                raise BenchError(f"{what} did not come within {within_s:g} s")
        return time.monotonic()

    def named(self, prefix: str) -> list[Json]:
        return [pod for key, pod in self.pods.items() if key.name.startswith(prefix)]

    def ready(self, prefix: str) -> int:
        return sum(_is_ready(pod) for pod in self.named(prefix))


def mode_of(pod: Json) -> str:
    """What the operator told it, "" if nothing yet."""
    return str(pod["metadata"].get("annotations", {}).get("paddock.dev/mode", ""))


def _is_ready(pod: Json) -> bool:
    return bool(pod["status"].get("phase") == "Running")


class BenchOperator(OperatorProcess):
    """An operator, and what it costs."""

    def __init__(self, folder: Path, kubeconfig: Path) -> None:
        super().__init__(folder, kubeconfig, NAMESPACE, "operator", "--log-level", "info")

    async def metrics(self) -> str:
        """Asked for again, as a scraper would, where a busy operator has no time to write them."""
        for _ in range(_SCRAPES):
            async with httpx.AsyncClient(trust_env=False, verify=False, timeout=30) as http:
                answer = await http.get(f"{self.probes}/metrics")
            if answer.status_code == HTTPStatus.OK:
                return answer.text
            await asyncio.sleep(1)
        raise BenchError(f"the operator's metrics: {answer.status_code} {answer.text[:200]}")

    async def writes(self) -> dict[tuple[str, str], int]:
        """How many writes were sent so far, by verb and resource.

        Raises `BenchError` when not even the lease's are among them: then nothing was counted.
        """
        found: dict[tuple[str, str], int] = {}
        for labels, count in _COUNT.findall(await self.metrics()):
            of = dict(_LABEL.findall(labels))
            if of["verb"] not in ("get", "list", "watch"):
                found[of["verb"], of["resource"]] = int(float(count))
        if not any(resource == "leases" for _, resource in found):
            raise BenchError("the operator's metrics tell of no write, not even of the lease")
        return found

    def cpu_s(self) -> float:
        """Of all its threads, user and system, since it began."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class BenchWorld:
    def __init__(
        self, cluster: Cluster, client: KubeClient, told: ToldOrchestrator, raw: RawProcess,
        folder: Path,
    ) -> None:  # fmt: skip
        self.cluster, self.client, self.told, self.raw = cluster, client, told, raw
        self.pods_path = f"/api/v1/namespaces/{NAMESPACE}/pods"
        self.player = RowPlayer(told)
        self.kubelet = StubKubelet(client, self.pods_path, node=NODE, player=self.player)
        self.seen = Seen(client)
        self.operator = BenchOperator(folder, cluster.kubeconfig)

    async def begin(self) -> None:
        core = {"metadata": {"name": NAMESPACE}}
        await self.client.create("/api/v1/namespaces", core)
        base = f"/api/v1/namespaces/{NAMESPACE}"
        secret = {
            "metadata": {"name": "keys"}, "stringData": {"apiKey": "sk_x", "runnerKey": "rk_x"},
        }  # fmt: skip
        await self.client.create(f"{base}/secrets", secret)
        spec = {"url": self.told.url, "secretRef": {"name": "keys"}, "allowInsecure": True}
        await self._put("OrchestratorConnection", "orchestratorconnections", "default", spec)
        self.operator.start()

    async def _put(self, kind: str, plural: str, name: str, spec: Json) -> None:
        path = f"/apis/paddock.dev/v1alpha1/namespaces/{NAMESPACE}/{plural}/{name}"
        metadata = {"name": name, "namespace": NAMESPACE}
        body = {"apiVersion": "paddock.dev/v1alpha1", "kind": kind, "metadata": metadata}
        await self.client.apply(path, body | {"spec": spec}, manager="bench")

    async def pool(self, name: str, *, most: int, slots: int = 1, **spec: Any) -> None:
        """A pool without any limit on how fast it may change."""
        container = {"name": "agent", "image": "none", "command": ["none"]}
        every = {
            "sessionsPerRunner": slots,
            "scaling": {
                "policy": "Buffer", "minRunners": 1, "maxRunners": most, "warmSessions": 0,
                "scaleUp": {"maxStarting": most},
                "scaleDown": {"maxDraining": "100%", "stabilizationSeconds": 1},
            },
            "template": {"spec": {"schedulerName": SCHEDULER, "containers": [container]}},
        }  # fmt: skip
        await self._put("AgentDeployment", "agentdeployments", name, {**every, **spec})

    async def resize(self, name: str, replicas: int) -> float:
        """When it was asked for. Monotonic seconds."""
        began = time.monotonic()
        await self.client.merge_patch(
            f"{pools_path(NAMESPACE)}/{name}", {"spec": {"replicas": replicas}}
        )
        return began

    async def has(self, prefix: str, count: int) -> float:
        """When so many pods of the prefix were Ready, and no others there."""
        seen = self.seen
        return await seen.until(
            f"{count} pods of {prefix}",
            lambda: len(seen.named(prefix)) == count == seen.ready(prefix),
        )

    def like(self, prefix: str) -> Json:
        """The body of a pod such as the operator made, for others to create and not its own."""
        pod = self.seen.named(prefix)[0]
        kept = {k: pod["metadata"][k] for k in ("annotations", "ownerReferences", "namespace")}
        labels = {**pod["metadata"]["labels"], MANAGED_BY: "bench", POOL: "bench"}
        spec = {k: v for k, v in pod["spec"].items() if k not in ("nodeName", "tolerations")}
        return {
            "apiVersion": "v1", "kind": "Pod", "spec": spec, "metadata": {**kept, "labels": labels},
        }  # fmt: skip

    async def free_lease(self) -> None:
        path = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/paddock-operator"
        with contextlib.suppress(NotFound):
            await self.client.delete(path)


@contextlib.contextmanager
def a_cluster() -> Iterator[Cluster]:
    """A throw-away API server. Raises `BenchError` where none is possible."""
    lack = {one.tier: one.lack for one in doctor.examine()}[Tier.API]
    if lack is not None:
        raise BenchError(f"no cluster is possible here: {lack}")
    name = f"bench-{os.getpid()}"
    made = clusters.up(name, frozenset({Tier.API}))
    try:
        yield made
    finally:
        clusters.down(clusters_folder() / name)


@contextlib.asynccontextmanager
async def bench_world() -> AsyncIterator[BenchWorld]:
    """Everything, and nothing of it afterwards."""
    with a_cluster() as cluster, tempfile.TemporaryDirectory(prefix="paddock-bench-") as folder:
        async with (
            KubeClient.connect(cluster.kubeconfig) as client,
            ToldOrchestrator() as told,
            RawProcess(cluster.kubeconfig) as raw,
        ):
            world = BenchWorld(cluster, client, told, raw, Path(folder))
            tasks = [asyncio.create_task(world.seen.run())]
            try:
                await world.begin()
                tasks.append(asyncio.create_task(world.kubelet.run()))
                yield world
            except BaseException:
                print(world.operator.text()[-3000:], file=sys.stderr)
                raise
            finally:
                world.operator.kill()
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
