"""What must hold of everything the chart makes. Each rule yields what breaks it."""

from collections.abc import Iterator, Sequence
from typing import Any

from chart.rendering import Json, is_hook, of_kind, pod_specs

_CLUSTER_WIDE = ("ClusterRole", "ClusterRoleBinding")
_COMPONENT = "app.kubernetes.io/component"
_SELECTING = ("app.kubernetes.io/name", "app.kubernetes.io/instance", _COMPONENT)
_LABELS = (
    *_SELECTING, "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart",
)  # fmt: skip
_WORDS = {
    "name", "namespace", "host", "hosts", "args", "resourceNames", "matchNames", "secretName",
    "claimName", "serviceName", "serviceAccountName", "storageClassName", "ingressClassName",
    "priorityClassName",
}  # fmt: skip
_DANGEROUS = {"*", "escalate", "bind", "impersonate"}


def broken(objects: Sequence[Json]) -> list[str]:
    """A sentence for each breach of each rule."""
    return [
        *(f"{_named(o)}: {why}" for o in objects for why in _of_words(o)),
        *(f"{_named(o)}: {why}" for o in objects for why in _of_object(o)),
        *(f"{name}: {why}" for name, pod in pod_specs(objects) for why in _of_pod(name, pod)),
        *(f"{_named(o)}: {why}" for o in objects for why in _of_role(o)),
        *_of_selectors(objects),
    ]


def _named(each: Json) -> str:
    return f"{each['kind']} {each['metadata']['name']}"


def _of_words(part: Any) -> Iterator[str]:
    """YAML takes `123` for a number and `on` for a boolean, unless they are quoted."""
    if isinstance(part, list):
        for one in part:
            yield from _of_words(one)
    elif isinstance(part, dict):
        for key, value in part.items():
            texts = value if key in ("hosts", "resourceNames", "matchNames", "args") else [value]
            if key in _WORDS and not all(isinstance(one, str | dict) for one in texts):
                yield f"{key} is {value!r}, which is no text"
            yield from _of_words(value)


def _of_object(each: Json) -> Iterator[str]:
    metadata = each["metadata"]
    for label in _LABELS:
        if not metadata.get("labels", {}).get(label):
            yield f"no label {label}"
    if ("namespace" in metadata) == (each["kind"] in _CLUSTER_WIDE):
        yield "a namespace where none belongs, or none where one does"
    if len(str(metadata["name"])) > 63:
        yield "its name is too long"


def _of_pod(name: str, template: Json) -> Iterator[str]:
    spec = template["spec"]
    security = spec.get("securityContext", {})
    if not security.get("runAsNonRoot") or not security.get("runAsUser"):
        yield "may run as root"
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "no seccomp profile"
    for shared in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(shared):
            yield f"has {shared}"
    if "automountServiceAccountToken" not in spec:
        yield "does not say whether it needs a token"
    for volume in spec.get("volumes", ()):
        if "hostPath" in volume:
            yield f"mounts the host's {volume['hostPath']}"
    for label in _SELECTING:
        if label not in template["metadata"]["labels"]:
            yield f"its pods have no label {label}"
    if "helm.sh/chart" in template["metadata"]["labels"]:
        yield "restarts when only the chart's version changes"
    for container in spec["containers"]:
        for why in _of_container(container, long_lived=not name.startswith("Job")):
            yield f"{container['name']} {why}"


def _of_container(container: Json, *, long_lived: bool) -> Iterator[str]:
    security = container.get("securityContext", {})
    wanted = {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
        "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    if security != wanted:
        yield f"has the security context {security}"
    resources = container.get("resources", {})
    if not {"cpu", "memory"} <= resources.get("requests", {}).keys():
        yield "does not say what it needs"
    if "memory" not in resources.get("limits", {}):
        yield "may take all memory"
    if "imagePullPolicy" not in container:
        yield "has no pull policy"
    if container["image"].endswith((":", ":latest")) or ":" not in container["image"]:
        yield f"has the image {container['image']}"
    if long_lived:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe not in container:
                yield f"has no {probe}"


def _of_role(each: Json) -> Iterator[str]:
    if each["kind"] not in ("Role", "ClusterRole"):
        return
    for rule in each["rules"]:
        words = {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        if words & _DANGEROUS:
            yield f"grants {words & _DANGEROUS}"
        if "secrets" in rule["resources"] and not rule.get("resourceNames"):
            yield "grants every secret"
        kept = {"configmaps", "leases"} & {*rule["resources"]}
        if kept and rule["verbs"] != ["create"] and not rule.get("resourceNames"):
            yield f"may have all {kept} of somebody else"
        named_hook = is_hook(each) and rule.get("resourceNames")
        if "customresourcedefinitions" in rule["resources"] and not named_hook:
            yield "may see or change definitions"


def _of_selectors(objects: Sequence[Json]) -> Iterator[str]:
    """Whatever selects pods selects those of one workload; what is of runners, none of ours."""
    pods = [pod["metadata"]["labels"] for _, pod in pod_specs(objects)]
    for each in of_kind(objects, "Service", "NetworkPolicy", "PodDisruptionBudget", "PodMonitor"):
        selector = each["spec"].get("podSelector") or each["spec"]["selector"]
        kinds = {labels[_COMPONENT] for labels in pods if _selects(selector, labels)}
        if len(kinds) != (0 if each["metadata"]["labels"][_COMPONENT] == "runners" else 1):
            yield f"{_named(each)}: selects pods of {kinds}"


def _selects(selector: Json, labels: Json) -> bool:
    """`selector`: that of a Service, or one with matchLabels or keys that exist."""
    required = {one["key"] for one in selector.get("matchExpressions", ())}
    wanted = selector.get("matchLabels", {} if required else selector)
    return bool(wanted.items() <= labels.items() and required <= labels.keys())
