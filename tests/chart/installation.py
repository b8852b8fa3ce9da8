"""One release of the chart in a namespace of its own."""

import base64
import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from chart.rendering import CHART, MONITORED, Json, of_kind, render
from paddock.client.client import AsyncClient
from testbed.client import Answer
from testbed.cluster import Cluster
from testbed.pods import path_of
from testbed.waiting import wait_until

IMAGE = "localhost/paddock/chart:test"
RELEASE = "paddock"
POOL = "hello"
_GROUP = "/apis/paddock.dev/v1alpha1/namespaces"

Done = subprocess.CompletedProcess[str]


class Installation:
    """What a user does with the chart, by Helm, and sees of it."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        """In the strictest kind of namespace there is."""
        strict = {"pod-security.kubernetes.io/enforce": "restricted"}
        metadata = {"metadata": {"labels": strict}}
        cluster.client.merge(f"/api/v1/namespaces/{namespace}", metadata)
        self.cluster = cluster
        self.namespace = namespace
        self.pool_path = f"{_GROUP}/{namespace}/agentdeployments/{POOL}"
        repository, tag = IMAGE.split(":")
        self.values: Json = {
            "image": {"repository": repository, "tag": tag, "pullPolicy": "Never"},
            "orchestrator": {"storage": {"persistent": False}},
        }

    # -- Helm -------------------------------------------------------------------------------

    def install(self, *options: str, **values: Json) -> Done:
        return self._with_values("install", *options, values=values)

    def upgrade(self, *options: str, **values: Json) -> Done:
        return self._with_values("upgrade", *options, values=values)

    def uninstall(self, *options: str) -> Done:
        return self._helm("uninstall", RELEASE, *options)

    def rollback(self, revision: int) -> Done:
        return self._helm("rollback", RELEASE, str(revision), "--wait", "--timeout=300s")

    def _with_values(self, verb: str, *options: str, values: Json) -> Done:
        given = [
            f"--set-json={key}={json.dumps(value)}" for key, value in (self.values | values).items()
        ]
        return self._helm(verb, RELEASE, str(CHART), *given, *options)

    def _helm(self, *words: str) -> Done:
        return self.cluster.helm_run("--namespace", self.namespace, *words)

    def remove(self) -> None:
        """Whatever state it is in, and without waiting for calls."""
        self.uninstall("--no-hooks", "--ignore-not-found", "--wait")
        client = self.cluster.client
        client.delete(self.pool_path)
        client.ask(
            "PATCH", self.pool_path, {"metadata": {"finalizers": None}},
            content_type="application/merge-patch+json",
        )  # fmt: skip

    # -- what is there ----------------------------------------------------------------------

    def core(self, kind: str, name: str) -> Answer:
        """A secret, service, pod or the like."""
        return self.cluster.client.ask("GET", f"/api/v1/namespaces/{self.namespace}/{kind}/{name}")

    def names(self, *kinds: str) -> list[str]:
        """Of everything of these kinds that carries the chart's labels."""
        said = self.cluster.kubectl_run(
            "-n", self.namespace, "get", ",".join(kinds), "-o", "name",
            "-l", "app.kubernetes.io/name=paddock",
        )  # fmt: skip
        return sorted(said.split())

    def keys(self) -> dict[str, str]:
        """The texts of the keys."""
        data: dict[str, str] = self.core("secrets", "paddock-keys").body["data"]
        return {name: base64.b64decode(text).decode() for name, text in data.items()}

    def orchestrator_uid(self) -> str:
        """Of the pod: another one after a restart."""
        return str(self.core("pods", "paddock-orchestrator-0").body["metadata"]["uid"])

    def kill_orchestrator(self) -> None:
        """Its pod is gone at once, as with a lost node, and another one is there after this."""
        before = self.orchestrator_uid()
        self.cluster.kubectl_run(
            "-n", self.namespace, "delete", "pod", "paddock-orchestrator-0", "--force",
            "--grace-period=0",
        )  # fmt: skip

        def another() -> bool:
            answer = self.core("pods", "paddock-orchestrator-0")
            return bool(answer.ok and answer.body["metadata"]["uid"] != before)

        wait_until("another orchestrator", another, within_s=120)

    def secret(self, name: str, **texts: str) -> None:
        body = {"metadata": {"name": name}, "stringData": texts}
        self.cluster.client.create(f"/api/v1/namespaces/{self.namespace}/secrets", body)

    def client(self, **options: int) -> AsyncClient:
        """An administrator's, from where the test runs."""
        service = self.core("services", "paddock-orchestrator").body
        url = f"http://{service['spec']['clusterIP']}:8600"
        return AsyncClient(self.keys()["apiKey"], url, retries=options.get("retries", 2))

    # -- who scrapes it ---------------------------------------------------------------------

    def pod_monitors(self) -> list[Json]:
        """Those that a cluster with the Prometheus operator would have."""
        return of_kind(
            render(self.cluster, self.values, namespace=self.namespace, apis=MONITORED),
            "PodMonitor",
        )

    def targets(self, monitor: Json) -> list[str]:
        """What it has Prometheus scrape in this namespace, as the API server selects it."""
        selector = monitor["spec"]["selector"]
        wanted = ",".join(
            [f"{key}={value}" for key, value in selector.get("matchLabels", {}).items()]
            + [one["key"] for one in selector.get("matchExpressions", ())]
        )
        endpoint = monitor["spec"]["podMetricsEndpoints"][0]
        pods = self.cluster.client.get(f"{path_of(self.namespace)}?labelSelector={quote(wanted)}")
        return [
            f"http://{pod['status']['podIP']}:{port['containerPort']}{endpoint['path']}"
            for pod in pods["items"]
            for container in pod["spec"]["containers"]
            for port in container.get("ports", ())
            if port.get("name") == endpoint["port"]
        ]

    # -- the pool ---------------------------------------------------------------------------

    def declare(self, *, replicas: int | None = None, **runner: object) -> None:
        """A pool of the example agent; `runner` is of its container. With `replicas` it has so many
        runners, and not another one when its first call has to wait."""
        container = {"name": "runner", "image": IMAGE, "imagePullPolicy": "Never", **runner}
        spec: Json = {
            "sessionsPerRunner": 10, "template": {"spec": {"containers": [container]}},
            "sessions": {"queueTimeoutSeconds": 30},
        }  # fmt: skip
        if replicas is not None:
            spec["replicas"] = replicas
        manifest = {
            "apiVersion": "paddock.dev/v1alpha1", "kind": "AgentDeployment",
            "metadata": {"name": POOL}, "spec": spec,
        }  # fmt: skip
        self.cluster.client.apply(self.pool_path, manifest)

    def withdraw(self, within_s: float = 120) -> None:
        """Delete the pool, as the refusal of `helm uninstall` says; gone when this returns."""
        client = self.cluster.client
        client.delete(self.pool_path)
        wait_until(
            "pool gone", lambda: client.ask("GET", self.pool_path).status == 404, within_s=within_s
        )

    def runners(self) -> list[str]:
        pods = self.cluster.client.get(
            f"{path_of(self.namespace)}?labelSelector=paddock.dev/pool={POOL}"
        )
        return [pod["metadata"]["name"] for pod in pods["items"]]


@contextlib.contextmanager
def volume(cluster: Cluster, namespace: str, folder: Path) -> Iterator[None]:
    """A persistent volume for the orchestrator's claim: the cluster has no provisioner."""
    folder.chmod(0o777)
    path = f"/api/v1/persistentvolumes/{namespace}"
    claim = {"namespace": namespace, "name": "paddock-orchestrator"}
    spec = {
        "capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": str(folder)}, "claimRef": claim,
        "persistentVolumeReclaimPolicy": "Retain",
    }  # fmt: skip
    body = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": namespace}}
    cluster.client.apply(path, body | {"spec": spec})
    yield
    cluster.client.delete(path)
