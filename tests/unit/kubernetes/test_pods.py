"""A runner's pod: what is asked of a cluster for one, and what is read from what it answers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock_operator.backends.kubernetes.intents import intent_annotations
from paddock_operator.backends.kubernetes.pods import (
    Endpoint,
    observed,
    pod_for,
    pod_view,
    wall_clock,
)
from paddock_operator.backends.kubernetes.words import HOLD, MANAGED_BY, POOL, REVISION, SLOT
from paddock_operator.model.parse import parse_manifest
from paddock_operator.model.resource import ObjectMeta
from paddock_operator.plan.view import Intent, Phase

OWNER = ObjectMeta("desk", "n", "owner-uid", 1, "1")
ENDPOINT = Endpoint("https://paddock.example", "keys")
MANIFEST = """
apiVersion: paddock.dev/v1alpha1
kind: AgentDeployment
metadata: {name: desk}
spec:
  sessionsPerRunner: 3
  drain: {timeoutSeconds: 600}
  %s
  template:
    metadata: {labels: {team: voice, paddock.dev/pool: stolen}}
    spec:
      %s
      containers:
      - {name: agent, image: example, env: [{name: PADDOCK_MAX_SESSIONS, value: "99"}]}
      - {name: sidecar, image: example}
"""


def made(section: str = "", pod: str = "") -> dict[str, Any]:
    manifest = parse_manifest(MANIFEST % (section, pod), source="a.yaml")
    return pod_for(manifest, OWNER, "rev", 4, ENDPOINT)


def stored(pod: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """As an API server has it."""
    metadata = {
        **pod["metadata"], "uid": "u1", "resourceVersion": "7",
        "creationTimestamp": "2026-01-01T00:00:00Z", **parts.pop("metadata", {}),
    }  # fmt: skip
    spec = {**pod["spec"], **parts.pop("spec", {})}
    return {"metadata": metadata, "spec": spec, "status": parts.pop("status", {})}


def waiting(reason: str, name: str = "agent") -> dict[str, Any]:
    return {"name": name, "state": {"waiting": {"reason": reason, "message": "why"}}}


def test_the_pool_has_the_last_word_about_a_runners_environment_and_labels() -> None:
    pod = made()
    values = [e.get("value") for e in pod["spec"]["containers"][0]["env"]
              if e["name"] == "PADDOCK_MAX_SESSIONS"]  # fmt: skip
    assert values[-1] == "3"
    assert pod["metadata"]["labels"][POOL] == "desk"
    assert pod["metadata"]["labels"]["team"] == "voice"
    assert pod["metadata"]["labels"][MANAGED_BY] == "paddock-operator"


def test_only_the_first_container_is_a_runner() -> None:
    first, second = made()["spec"]["containers"]
    assert any(mount["name"] == "paddock-state" for mount in first["volumeMounts"])
    assert "env" not in second
    assert "volumeMounts" not in second


def test_kubelet_waits_longer_than_a_drain_may_take() -> None:
    assert made()["spec"]["terminationGracePeriodSeconds"] == 660
    own = made(pod="terminationGracePeriodSeconds: 900")
    assert own["spec"]["terminationGracePeriodSeconds"] == 900


def test_a_node_out_of_reach_keeps_its_runners_for_as_long_as_a_drain() -> None:
    tolerated = {t["key"]: t["tolerationSeconds"] for t in made()["spec"]["tolerations"]}
    assert tolerated == {
        "node.kubernetes.io/unreachable": 600,
        "node.kubernetes.io/not-ready": 600,
    }


@pytest.mark.parametrize(("protect", "held"), [("Always", True), ("Never", False)])
def test_a_protected_runner_is_held_from_its_first_moment(protect: str, held: bool) -> None:
    pod = made(f"disruption: {{protect: {protect}}}")
    assert (HOLD in pod["metadata"]["labels"]) is held
    notes = pod["metadata"]["annotations"]
    assert ("karpenter.sh/do-not-disrupt" in notes) is held


def test_making_a_pod_leaves_the_manifest_as_it_was() -> None:
    manifest = parse_manifest(MANIFEST % ("", ""), source="a.yaml")
    first = pod_for(manifest, OWNER, "rev", 1, ENDPOINT)
    assert pod_for(manifest, OWNER, "rev", 1, ENDPOINT) == first


def test_what_is_made_is_read_back() -> None:
    view = pod_view(stored(made()))
    assert (view.name, view.pool, view.revision, view.slot) == ("desk-rev-4", "desk", "rev", 4)
    assert (view.owner, view.intent, view.deleting) == ("owner-uid", Intent(), False)


@pytest.mark.parametrize(
    ("parts", "phase"),
    [
        ({}, Phase.PENDING),
        ({"spec": {"nodeName": "a"}}, Phase.STARTING),
        ({"spec": {"nodeName": "a"}, "metadata": {"deletionTimestamp": "x"}}, Phase.TERMINATING),
        ({"status": {"phase": "Failed"}}, Phase.FAILED),
        ({"status": {"phase": "Succeeded"}, "metadata": {"deletionTimestamp": "x"}}, Phase.FAILED),
    ],
)
def test_its_phase(parts: dict[str, Any], phase: Phase) -> None:
    assert observed(pod_view(stored(made(), **parts)), cordoned=False).phase is phase


@pytest.mark.parametrize(
    ("statuses", "stuck"),
    [
        ([], False),
        ([waiting("ContainerCreating")], False),
        ([waiting("ImagePullBackOff")], True),
        ([waiting("CrashLoopBackOff")], True),
        ([{"name": "agent", "state": {"running": {}}}, waiting("CrashLoopBackOff", "sidecar")],
         False),
    ],
)  # fmt: skip
def test_a_runner_is_stuck_when_its_own_container_does_not_run(
    statuses: list[dict[str, Any]], stuck: bool
) -> None:
    status = {"phase": "Pending", "containerStatuses": statuses}
    pod = pod_view(stored(made(), spec={"nodeName": "a"}, status=status))
    assert pod.stuck is stuck
    wanted = Phase.PENDING if stuck else Phase.STARTING
    assert observed(pod, cordoned=False).phase is wanted


def test_how_it_ended_is_told_in_one_line() -> None:
    ended = {"exitCode": 3, "message": "Traceback\nValueError: no key\n"}
    status = {"phase": "Failed", "containerStatuses": [
        {"name": "agent", "state": {"terminated": ended}, "restartCount": 0}]}  # fmt: skip
    assert pod_view(stored(made(), status=status)).failure == (
        "agent exited with 3: ValueError: no key"
    )


def test_its_end_is_no_failure_when_it_was_asked_to_go() -> None:
    gone = {"deletionTimestamp": "x"}
    pod = pod_view(stored(made(), status={"phase": "Failed"}, metadata=gone))
    assert observed(pod, cordoned=False).asked


@given(st.dictionaries(st.sampled_from((REVISION, POOL, SLOT, "x")), st.text(max_size=5)))
def test_any_pod_with_any_notes_can_be_read(notes: dict[str, str]) -> None:
    pod = {
        "metadata": {"name": "p", "namespace": "n", "uid": "u", "resourceVersion": "1",
                     "creationTimestamp": "2026-01-01T00:00:00Z", "labels": notes,
                     "annotations": notes},
    }  # fmt: skip
    view = pod_view(pod)
    assert view.slot >= -1
    assert view.phase == "Pending"


def test_the_intent_stands_in_the_annotations() -> None:
    intent = Intent(3, deadline=5.0)
    notes = {k: v for k, v in intent_annotations(intent).items() if v is not None}
    assert pod_view(stored(made(), metadata={"annotations": notes})).intent == intent


def test_a_servers_time_is_read_as_seconds() -> None:
    assert wall_clock("1970-01-01T00:01:40Z") == 100.0
