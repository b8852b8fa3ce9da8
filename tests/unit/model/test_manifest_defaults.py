"""What a manifest means when it says little."""

import pydantic
import pytest
import yaml

from paddock_operator.model.parse import parse_manifest
from paddock_operator.model.quantity import Size
from unit.model.manifests import SMALLEST, changed

EVERY_DEFAULT = """\
agentId: null
connectionRef: {name: default}
sessionsPerRunner: 4
replicas: null
paused: None
sessions:
  queueTimeoutSeconds: 30
  maxQueued: 100
  waitAtMaximum: false
  maxDurationSeconds: 7200
  placement: Packed
scaling:
  policy: Horizon
  minRunners: 1
  maxRunners: 10
  warmSessions: null
  objectivePercent: 99
  startupSecondsHint: 20
  meanSessionSecondsHint: 180
  scaleUp: {maxStarting: 100}
  scaleDown: {maxDraining: "25%", order: FewestSessions, stabilizationSeconds: null}
  scaleToZero: null
  schedules: []
drain: {timeoutSeconds: 3600, onTimeout: Terminate, warnBeforeSeconds: 60, undrain: Allowed}
rollout:
  type: Surge
  maxSurge: "25%"
  minReadySeconds: 10
  progressDeadlineSeconds: 600
  steps: []
  undrainOldRevision: WhenSaturated
  revisionHistoryLimit: 5
disruption: {protect: Always, drainOnCordon: true}
fallback: {staleAfterSeconds: 15, afterSeconds: 60, behavior: HoldOrRaise, runners: null}
failure:
  {backoffSeconds: 10, maxBackoffSeconds: 300, maxStartFailures: 5, startDeadlineSeconds: 300}
"""


def test_every_default_is_as_documented() -> None:
    spec = parse_manifest(SMALLEST).spec.model_dump(mode="json", by_alias=True)
    del spec["template"]

    assert spec == yaml.safe_load(EVERY_DEFAULT)


def test_writing_the_defaults_out_changes_nothing() -> None:
    written = yaml.safe_load(SMALLEST)
    written["spec"] |= yaml.safe_load(EVERY_DEFAULT)

    explicit = parse_manifest(yaml.safe_dump(written))

    assert explicit == parse_manifest(SMALLEST)


def test_the_agent_is_named_after_the_pool_unless_said_otherwise() -> None:
    assert parse_manifest(SMALLEST).agent_id == "support-en"
    assert parse_manifest(changed(spec__agentId="sales")).agent_id == "sales"


def test_reserve_and_hold_follow_the_policy() -> None:
    horizon = parse_manifest(SMALLEST).spec.scaling
    buffer = parse_manifest(changed(spec__scaling__policy="Buffer")).spec.scaling

    assert (horizon.warm, horizon.hold_s) == (Size(0), None)
    assert (buffer.warm, buffer.hold_s) == (Size(1), 300.0)


def test_a_manifest_cannot_be_changed() -> None:
    manifest = parse_manifest(SMALLEST)

    with pytest.raises(pydantic.ValidationError, match="frozen"):
        manifest.spec.sessions_per_runner = 5


def test_unknown_fields_of_the_pod_template_are_kept() -> None:
    template = {
        "metadata": {"labels": {"team": "a"}, "creationTimestamp": None},
        "spec": {
            "containers": [{"name": "a", "env": [{"name": "X", "value": "1"}]}],
            "nodeSelector": {"pool": "calls"},
            "terminationGracePeriodSeconds": 4000,
        },
    }

    assert parse_manifest(changed(spec__template=template)).spec.template.as_json() == template
