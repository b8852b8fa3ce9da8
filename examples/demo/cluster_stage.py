"""The demo's pool on a cluster: operator and orchestrator by the Helm chart, runners as pods."""

import base64
import contextlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from paddock.client.contexts import Context
from stage import HERE, NAME, StageFailed
from testbed import cluster as clusters
from testbed import doctor
from testbed.cluster import Cluster
from testbed.image_build import build_image
from testbed.places import clusters_folder
from testbed.pods import evict, path_of
from testbed.tiers import Tier
from testbed.waiting import wait_until

IMAGE = "localhost/paddock/paddock:test"
ROOT = HERE.parents[1]
_RELEASE = "paddock"
_VALUES: dict[str, Any] = {
    "image": {"repository": IMAGE.split(":")[0], "tag": "test", "pullPolicy": "Never"},
    "orchestrator": {"storage": {"persistent": False}, "startsBurst": 1000},
}
_OPERATOR = "app.kubernetes.io/component=operator"
_PATIENCE_S = 90.0
_GONE, _CHANGED = 404, 409
_POOLS = "/apis/paddock.dev/v1alpha1/namespaces"
Say = Callable[[str], None]


@dataclass
class ClusterStage:
    """A pool on a cluster, and the hands that shake it."""

    cluster: Cluster
    namespace: str
    context: Context
    evictions: list[int] = field(default_factory=list)
    """Statuses of the evictions that were asked for, of pods that run."""

    def pods(self) -> list[dict[str, Any]]:
        """Of the runners, without those that are over."""
        path = f"{path_of(self.namespace)}?labelSelector=paddock.dev/pool={NAME}"
        pods: list[dict[str, Any]] = self.cluster.client.get(path)["items"]
        return [p for p in pods if p["status"].get("phase") not in ("Failed", "Succeeded")]

    def kill_runner(self, runner_id: str) -> None:
        """Without grace, as a lost machine would."""
        self._kubectl("delete", "pod", runner_id, "--grace-period=0", "--force", "--wait=false")

    def roll_out(self) -> None:
        """Another template."""
        self.cluster.client.apply(f"{_POOLS}/{self.namespace}/agentdeployments/{NAME}", pool("2"))

    def cordon(self, *, on: bool) -> None:
        for node in self.cluster.client.get("/api/v1/nodes")["items"]:
            self.cluster.client.merge(
                f"/api/v1/nodes/{node['metadata']['name']}", {"spec": {"unschedulable": on}}
            )

    def evict_all(self) -> None:
        """Ask for the eviction of each runner, as `kubectl drain` would.

        One whose pod was not started yet may go: no budget holds such a pod. Nor does one hold a
        pod that is ending, so each is asked for as it was seen, and looked at again if it changed.
        """
        asking = self.pods()
        while asking:
            changed = [pod["metadata"]["name"] for pod in asking if self._evict(pod) == _CHANGED]
            asking = [pod for pod in self.pods() if pod["metadata"]["name"] in changed]

    def _evict(self, pod: dict[str, Any]) -> int:
        meta = pod["metadata"]
        if "deletionTimestamp" in meta:
            return _GONE
        status = evict(
            self.cluster.client, self.namespace, meta["name"], seen=meta["resourceVersion"]
        )
        if status not in (_CHANGED, _GONE) and pod["status"].get("phase") == "Running":
            self.evictions.append(status)
        return status

    def kill_operator(self) -> None:
        """kill -9 of its pod; its Deployment starts a new one."""
        self._kubectl(
            "delete", "pod", "-l", _OPERATOR, "--grace-period=0", "--force", "--wait=false"
        )

    def last_words(self) -> str:
        """The end of the operator's log."""
        return self._kubectl("logs", "-l", _OPERATOR, "--tail=20", "--ignore-errors")

    def _kubectl(self, *words: str) -> str:
        return self.cluster.kubectl_run("-n", self.namespace, *words)


def pool(version: str) -> dict[str, Any]:
    """The demo's manifest for pods of our image."""
    manifest: dict[str, Any] = yaml.safe_load((HERE / "agentdeployment.yaml").read_text())
    manifest["spec"]["scaling"]["startupSecondsHint"] = 4
    runner = manifest["spec"]["template"]["spec"]["containers"][0]
    runner["command"] = ["python", "/opt/paddock/examples/agent.py"]
    runner |= {"image": IMAGE, "imagePullPolicy": "Never"}
    runner["env"] = [{"name": "AGENT_VERSION", "value": version}]
    return manifest


@contextlib.contextmanager
def cluster_stage(say: Say) -> Iterator[ClusterStage]:
    """The pool, its first runner being started. Everything is removed on leaving.

    Raises StageFailed with what is missing on this machine.
    """
    with _a_cluster(say) as cluster:
        say("building the image (minutes the first time) ...")
        image = build_image(ROOT, IMAGE, say=say)
        cluster.load_image(image)
        namespace = f"demo-{secrets.token_hex(3)}"
        cluster.client.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
        say("installing the chart ...")
        ready = ClusterStage(cluster, namespace, _installed(cluster, namespace))
        try:
            cluster.client.apply(f"{_POOLS}/{namespace}/agentdeployments/{NAME}", pool("1"))
            yield ready
        finally:
            _tear_down(ready)


@contextlib.contextmanager
def _a_cluster(say: Say) -> Iterator[Cluster]:
    given = clusters.existing()
    if given is not None:
        if Tier.REALNODE not in given.tiers or given.folder is None:
            raise StageFailed(f"{clusters.EXISTING} names no cluster that `make cluster` made")
        yield given
        return
    lack = doctor.lack_of(Tier.REALNODE)
    if lack is not None:
        raise StageFailed(f"no cluster with a real node is possible here: {lack}")
    name = f"demo-{os.getpid()}"
    say("starting a cluster ...")
    made = clusters.up(name, frozenset({Tier.REALNODE}), say=say)
    try:
        yield made
    finally:
        clusters.down(clusters_folder() / name)


def _installed(cluster: Cluster, namespace: str) -> Context:
    """The orchestrator's address and keys, once operator and orchestrator are ready."""
    values = [f"--set-json={name}={json.dumps(value)}" for name, value in _VALUES.items()]
    done = cluster.helm_run(
        "install", _RELEASE, str(ROOT / "charts/paddock"), "--namespace", namespace,
        "--wait", "--timeout=120s", *values,
    )  # fmt: skip
    if done.returncode != 0:
        raise StageFailed(done.stderr.strip())
    core = f"/api/v1/namespaces/{namespace}"
    service = cluster.client.get(f"{core}/services/{_RELEASE}-orchestrator")
    data = cluster.client.get(f"{core}/secrets/{_RELEASE}-keys")["data"]
    private, public, runner = (
        base64.b64decode(data[name]).decode() for name in ("apiKey", "publicKey", "runnerKey")
    )
    return Context(NAME, f"http://{service['spec']['clusterIP']}:8600", private, public, runner)


def _tear_down(ready: ClusterStage) -> None:
    client, path = ready.cluster.client, f"{_POOLS}/{ready.namespace}/agentdeployments/{NAME}"
    ready.cordon(on=False)
    client.delete(path)
    with contextlib.suppress(Exception):
        wait_until("pool gone", lambda: client.ask("GET", path).status == 404, within_s=_PATIENCE_S)
    ready.cluster.helm_run("uninstall", _RELEASE, "--namespace", ready.namespace, "--no-hooks")
    client.delete(f"/api/v1/namespaces/{ready.namespace}")
