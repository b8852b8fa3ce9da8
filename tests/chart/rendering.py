"""The chart as `helm template` renders it, under many values."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from testbed.cluster import Cluster
from testbed.places import CHECKOUT

Json = dict[str, Any]

CHART = CHECKOUT / "charts" / "paddock"
IMAGE: Json = {"repository": "registry.example.com/paddock"}
SMALLEST: Json = {"image": IMAGE}
MONITORED = ("monitoring.coreos.com/v1",)
"""What a cluster with the Prometheus operator says it has."""
_KUBERNETES = "1.29.0"

CASES: dict[str, Json] = {
    "smallest": {},
    "of some namespaces": {
        "operator": {"clusterWide": False}, "pools": {"namespaces": ["sales", "voice"]},
        "crds": {"upgrade": False}, "userRoles": {"aggregate": False},
    },
    "of its own namespace": {"operator": {"clusterWide": False}},
    "pools elsewhere": {"pools": {"namespaces": ["sales"]}},
    "two operators": {"operator": {"replicas": 2}, "orchestrator": {"allowEviction": False}},
    "given keys": {"keys": {"existingSecret": "given"}},
    "a trial": {"orchestrator": {"storage": {"persistent": False}}},
    "a given volume": {"orchestrator": {"storage": {"existingClaim": "records"}}},
    "on PostgreSQL": {"orchestrator": {"database": {"existingSecret": "db", "port": 6432}}},
    "from outside": {
        "ingress": {
            "enabled": True, "host": "voice.example.com", "tlsSecret": "voice-tls",
            "className": "nginx", "annotations": {"example.com/a": "b"},
        },
        "orchestrator": {
            "publicUrl": "https://voice.example.com",
            "service": {"type": "LoadBalancer", "annotations": {"example.com/a": "b"}},
        },
    },
    "names that look like numbers": {
        "pools": {"namespaces": ["123", "1e3"]}, "operator": {"clusterWide": False},
        "keys": {"existingSecret": "7"}, "image": {"pullSecrets": ["8"], **IMAGE},
        "orchestrator": {"storage": {"className": "1"}, "priorityClassName": "2"},
        "ingress": {"enabled": True, "host": "3", "tlsSecret": "4", "className": "5"},
    },
    "more of them": {
        "orchestrator": {"database": {"existingSecret": "6"}},
        "ingress": {"enabled": True, "host": "*.example.com", "tlsSecret": "0x1"},
    },
    "a volume that looks like a number": {"orchestrator": {"storage": {"existingClaim": "9"}}},
    "no orchestrator": {"orchestrator": {"enabled": False}},
    "no policies": {"networkPolicy": {"enabled": False}},
    "narrow policies": {
        "networkPolicy": {
            "orchestratorFrom": [{"namespaceSelector": {}}],
            "operatorFrom": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
        },
    },
    "placed": {
        part: {
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"key": "voice", "operator": "Exists"}],
            "affinity": {"podAntiAffinity": {}},
            "priorityClassName": "system-cluster-critical",
            "podAnnotations": {"example.com/a": "b"},
            "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        }
        for part in ("operator", "orchestrator")
    },
    "a private registry": {"image": {"pullSecrets": ["registry"], "tag": "0.9", **IMAGE}},
    "monitored": {"monitoring": {"labels": {"release": "prometheus"}}},
}  # fmt: skip
"""Values beside the image's."""


class Refused(Exception):
    """Helm said no; the message is what it said."""


def render(
    cluster: Cluster,
    values: Json,
    *,
    namespace: str = "voice",
    apis: Sequence[str] = (),
    options: Sequence[str] = (),
) -> list[Json]:
    """The objects that these values give. Raises Refused."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({**SMALLEST, **values}, file)
        file.flush()
        done = cluster.helm_run(
            "template", "paddock", str(CHART), "--namespace", namespace, "--values", file.name,
            "--kube-version", _KUBERNETES, *(f"--api-versions={api}" for api in apis), *options,
        )  # fmt: skip
    if done.returncode != 0:
        raise Refused(done.stderr)
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def of_kind(objects: Sequence[Json], *kinds: str) -> list[Json]:
    return [each for each in objects if each["kind"] in kinds]


def pod_specs(objects: Sequence[Json]) -> Iterator[tuple[str, Json]]:
    """The name of each workload, and its pods' template."""
    for each in of_kind(objects, "Deployment", "StatefulSet", "Job"):
        yield f"{each['kind']} {each['metadata']['name']}", each["spec"]["template"]


def is_hook(each: Json) -> bool:
    return "helm.sh/hook" in each["metadata"].get("annotations", {})


def values_file() -> Path:
    return CHART / "values.yaml"
