"""Runners as pods: what is created for one, and what is read from one. Pure."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from msgspec import structs

from paddock_operator.backends.kubernetes.intents import intent_of
from paddock_operator.backends.kubernetes.words import (
    CA_BUNDLE,
    DO_NOT_DISRUPT,
    HELD,
    HOLD,
    MANAGED_BY,
    MANAGER,
    POOL,
    REVISION,
    SAFE_TO_EVICT,
    SLOT,
)
from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.model.resource import ObjectMeta
from paddock_operator.plan.view import Intent, Phase
from paddock_operator.reconcile.backend import Observed

SECOND_WALL_S = 60
"""Beyond the drain timeout: how long kubelet waits for a runner that was sent SIGTERM."""
STATE_DIR = "/var/run/paddock"
_STATE_VOLUME = "paddock-state"
_BEGINNING = (None, "ContainerCreating", "PodInitializing")
"""Reasons of a container that is about to run."""
_CA_VOLUME, _CA_DIR, _CA_FILE = "paddock-ca", "/var/run/paddock-ca", "ca.pem"
_TOLERATED = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How runners of a pool reach their orchestrator."""

    url: str
    secret: str
    """Name of the secret whose key `runnerKey` they register with."""
    ca: str = ""
    """Certificates to trust, PEM; "": the usual ones."""


@dataclass(frozen=True)
class PodView:
    """What is kept of a runner's pod."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    pool: str
    owner: str
    """Uid of the AgentDeployment that controls it; "" for an orphan."""
    revision: str
    slot: int
    phase: str
    node: str
    created_at: float
    placed_at: float | None
    """When it was given its node; None while it has none."""
    held: bool
    """It has the label by which the budget keeps it from being evicted."""
    deleting: bool
    intent: Intent
    failure: str
    """How it ended, in one line; "" while it has not."""
    waiting: tuple[str, str]
    """Reason and message why it does not run yet; empty when it does."""
    stuck: bool
    """Kubelet says that the runner's container does not run: no image, or it crashes again and
    again. So no call can be there."""
    restarts: int

    @cached_property
    def observed(self) -> Observed:
        """The pod as the reconciler sees it, where its node stays. Made once, not in each pass."""
        if self.phase in ("Failed", "Succeeded"):
            phase = Phase.FAILED
        elif self.deleting:
            phase = Phase.TERMINATING
        elif not self.node or self.stuck:
            phase = Phase.PENDING
        else:
            phase = Phase.STARTING
        return Observed(
            runner_id=self.name,
            revision=self.revision,
            phase=phase,
            created_at=self.created_at,
            placed_at=self.placed_at,
            intent=self.intent,
            node=self.node,
            asked=self.deleting or self.phase == "Succeeded",
            failure=self.failure,
            incarnation=self.uid,
        )


def pod_name(pool: str, revision: str, slot: int) -> str:
    """The pod in this slot. Who creates it twice creates it once."""
    return f"{pool}-{revision}-{slot}"


def pod_for(
    manifest: AgentDeployment,
    owner: ObjectMeta,
    revision: str,
    slot: int,
    endpoint: Endpoint,
) -> dict[str, Any]:
    """The pod of a new runner: the template, and what makes a runner of it."""
    spec = manifest.spec
    template: dict[str, Any] = copy.deepcopy(spec.template.as_json())
    metadata = template.get("metadata", {})
    pod: dict[str, Any] = template["spec"]
    timeout_s = spec.drain.timeout_seconds
    pod.setdefault("restartPolicy", "Never")
    pod.setdefault("terminationGracePeriodSeconds", int(timeout_s) + SECOND_WALL_S)
    pod.setdefault("automountServiceAccountToken", False)
    pod.setdefault("enableServiceLinks", False)
    _secure(pod)
    _tolerate(pod, int(timeout_s))
    _tell(pod["containers"][0], manifest, revision, endpoint)
    volumes = pod.setdefault("volumes", [])
    volumes.append({"name": _STATE_VOLUME, "emptyDir": {"sizeLimit": "16Mi"}})
    if endpoint.ca:
        _trust(pod)
    _, annotations = hold_marks(spec.disruption.protect == "Always")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(owner.name, revision, slot),
            "namespace": owner.namespace,
            "labels": pod_labels(manifest, owner, revision),
            "annotations": {
                **metadata.get("annotations", {}),
                SLOT: str(slot),
                **({CA_BUNDLE: endpoint.ca} if endpoint.ca else {}),
                **{name: value for name, value in annotations.items() if value is not None},
            },
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": pod,
    }


def pod_labels(manifest: AgentDeployment, owner: ObjectMeta, revision: str) -> dict[str, str]:
    """The labels of a new runner's pod."""
    template: dict[str, Any] = manifest.spec.template.as_json()
    labels, _ = hold_marks(manifest.spec.disruption.protect == "Always")
    return {
        **template.get("metadata", {}).get("labels", {}),
        MANAGED_BY: MANAGER,
        POOL: owner.name,
        REVISION: revision,
        **{name: value for name, value in labels.items() if value is not None},
    }


Marks = dict[str, str | None]


def hold_marks(protect: bool) -> tuple[Marks, Marks]:
    """Labels and annotations that keep others from removing a pod; None takes one away."""
    if protect:
        return {HOLD: HELD}, {SAFE_TO_EVICT: "false", DO_NOT_DISRUPT: "true"}
    return {HOLD: None}, {SAFE_TO_EVICT: None, DO_NOT_DISRUPT: None}


def owner_reference(owner: ObjectMeta) -> dict[str, Any]:
    return {
        "apiVersion": "paddock.dev/v1alpha1",
        "kind": "AgentDeployment",
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _secure(pod: dict[str, Any]) -> None:
    """Defaults that the template may overrule, for the pod and for each of its containers."""
    security = pod.setdefault("securityContext", {})
    security.setdefault("runAsNonRoot", True)
    security.setdefault("seccompProfile", {"type": "RuntimeDefault"})
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        own = container.setdefault("securityContext", {})
        own.setdefault("allowPrivilegeEscalation", False)
        own.setdefault("readOnlyRootFilesystem", True)
        own.setdefault("capabilities", {"drop": ["ALL"]})


def _trust(pod: dict[str, Any]) -> None:
    """The certificates as a file, from the pod's own annotation."""
    field = {"fieldPath": f"metadata.annotations['{CA_BUNDLE}']"}
    items = [{"path": _CA_FILE, "fieldRef": field}]
    pod["volumes"].append({"name": _CA_VOLUME, "downwardAPI": {"items": items}})
    runner = pod["containers"][0]
    mount = {"name": _CA_VOLUME, "mountPath": _CA_DIR, "readOnly": True}
    runner.setdefault("volumeMounts", []).append(mount)
    runner["env"].append({"name": "PADDOCK_CA_BUNDLE", "value": f"{_CA_DIR}/{_CA_FILE}"})


def _tolerate(pod: dict[str, Any], timeout_s: int) -> None:
    """A node that is out of reach for a while may still carry calls."""
    tolerations = pod.setdefault("tolerations", [])
    known = {t.get("key") for t in tolerations}
    tolerations += [
        {
            "key": key,
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": timeout_s,
        }
        for key in _TOLERATED
        if key not in known
    ]


def _tell(
    runner: dict[str, Any], manifest: AgentDeployment, revision: str, endpoint: Endpoint
) -> None:
    """What the runner is told, after the template's own variables: the pool has the last word."""
    spec = manifest.spec
    env = runner.setdefault("env", [])
    values = {
        "AGENT_ID": manifest.agent_id,
        "BASE_URL": endpoint.url,
        "MAX_SESSIONS": str(spec.sessions_per_runner),
        "DRAIN_TIMEOUT_S": str(spec.drain.timeout_seconds),
        "REVISION": revision,
        "STATE_DIR": STATE_DIR,
    }
    env += [{"name": f"PADDOCK_{name}", "value": value} for name, value in values.items()]
    env += [
        _from("PADDOCK_RUNNER_ID", "metadata.name"),
        _from("PADDOCK_POD_UID", "metadata.uid"),
        _from("UNPOD_WORKER_HOSTNAME", "metadata.name"),
        {"name": "UNPOD_BASE_URL", "value": endpoint.url},
        _key("PADDOCK_API_KEY", endpoint),
        _key("UNPOD_API_KEY", endpoint),
    ]
    runner.setdefault("volumeMounts", []).append({"name": _STATE_VOLUME, "mountPath": STATE_DIR})


def _from(name: str, field: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": field}}}


def _key(name: str, endpoint: Endpoint) -> dict[str, Any]:
    return {
        "name": name,
        "valueFrom": {"secretKeyRef": {"name": endpoint.secret, "key": "runnerKey"}},
    }


def pod_view(pod: Mapping[str, Any]) -> PodView:
    """What the operator keeps of a pod that it made."""
    metadata, spec, status = pod["metadata"], pod.get("spec", {}), pod.get("status", {})
    labels = metadata.get("labels") or {}
    annotations = metadata.get("annotations") or {}
    owner = next((o for o in metadata.get("ownerReferences") or () if o.get("controller")), None)
    slot = annotations.get(SLOT, "")
    containers = status.get("containerStatuses") or []
    return PodView(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        pool=labels.get(POOL, ""),
        owner="" if owner is None else owner["uid"],
        revision=labels.get(REVISION, ""),
        slot=int(slot) if slot.isdecimal() else -1,
        phase=status.get("phase", "Pending"),
        node=spec.get("nodeName", ""),
        created_at=wall_clock(metadata["creationTimestamp"]),
        placed_at=_placed_at(status),
        held=labels.get(HOLD) == HELD,
        deleting="deletionTimestamp" in metadata,
        intent=intent_of(annotations),
        failure=_failure(status, containers),
        waiting=_waiting(status, containers),
        stuck=_is_stuck(spec, containers),
        restarts=sum(c.get("restartCount", 0) for c in containers),
    )


def observed(pod: PodView, *, cordoned: bool) -> Observed:
    """The pod as the reconciler sees it, its node with it."""
    return structs.replace(pod.observed, cordoned=True) if cordoned else pod.observed


def wall_clock(timestamp: str) -> float:
    """An API server's timestamp, in seconds."""
    return datetime.fromisoformat(timestamp).timestamp()


def _placed_at(status: Mapping[str, Any]) -> float | None:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "True":
            at = condition.get("lastTransitionTime")
            return None if at is None else wall_clock(at)
    return None


def _failure(status: Mapping[str, Any], containers: list[Mapping[str, Any]]) -> str:
    if status.get("phase") != "Failed":
        return ""
    for container in containers:
        ended = (container.get("state") or {}).get("terminated")
        if ended and ended.get("exitCode"):
            why = ended.get("message") or ended.get("reason") or ""
            line = str(why).strip().splitlines()[-1:] or [""]
            return f"{container['name']} exited with {ended['exitCode']}: {line[0][:200]}"
    return str(status.get("message") or status.get("reason") or "failed")[:300]


def _is_stuck(spec: Mapping[str, Any], containers: list[Mapping[str, Any]]) -> bool:
    runner = next((c["name"] for c in spec.get("containers") or ()), "")
    waiting = [(c.get("state") or {}).get("waiting") for c in containers if c["name"] == runner]
    return any(w is not None and w.get("reason") not in _BEGINNING for w in waiting)


def _waiting(status: Mapping[str, Any], containers: list[Mapping[str, Any]]) -> tuple[str, str]:
    for container in containers:
        waiting = (container.get("state") or {}).get("waiting")
        if waiting and waiting.get("reason") not in _BEGINNING:
            return waiting["reason"], str(waiting.get("message", ""))[:300]
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return condition.get("reason", ""), str(condition.get("message", ""))[:300]
    return "", ""
