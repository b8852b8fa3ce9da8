"""Objects of a cluster mean what files mean."""

from typing import Any

import pytest

from paddock_operator.model.connection import OrchestratorConnection
from paddock_operator.model.parse import parse_manifest
from paddock_operator.model.resource import ObjectMeta, parse_connection, parse_resource
from paddock_operator.model.revision import template_revision
from unit.model.manifests import CONNECTION, SMALLEST, changed_data

SERVER: dict[str, object] = {
    "metadata__namespace": "acme",
    "metadata__uid": "40238bf5",
    "metadata__generation": 3,
    "metadata__resourceVersion": "266",
    "metadata__creationTimestamp": "2026-11-28T06:26:13Z",
    "metadata__managedFields": [{"manager": "kubectl"}],
    "metadata__of-a-later-version": True,
}


def sent(base: str = SMALLEST, **changes: object) -> dict[str, Any]:
    """An object as a server sends it."""
    return changed_data(base, {**SERVER, **changes})


def test_it_is_what_a_file_gives_with_what_the_server_added_apart() -> None:
    resource = parse_resource(
        sent(
            metadata__finalizers=["paddock.dev/drain"],
            metadata__deletionTimestamp="2026-11-28T07:00:00Z",
            status={"replicas": 3},
        )
    )

    assert resource.parsed == parse_manifest(SMALLEST)
    assert resource.status == {"replicas": 3}
    assert resource.meta == ObjectMeta(
        name="support-en",
        namespace="acme",
        uid="40238bf5",
        generation=3,
        resource_version="266",
        deletion_timestamp="2026-11-28T07:00:00Z",
        finalizers=("paddock.dev/drain",),
        created="2026-11-28T06:26:13Z",
    )


def test_defaults_that_the_server_filled_in_change_neither_it_nor_its_revision() -> None:
    written = parse_manifest(SMALLEST)
    filled = written.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    filled["template"] = written.spec.template.as_json()

    resource = parse_resource(sent(spec=filled))

    assert resource.parsed == written
    assert not isinstance(resource.parsed, tuple)
    assert template_revision(resource.parsed) == template_revision(written)


def test_what_is_wrong_is_told_and_the_rest_still_known() -> None:
    resource = parse_resource(sent(spec__replicas=11, spec__rollout__type="OnIdle"))

    assert isinstance(resource.parsed, tuple)
    first, second = map(str, resource.parsed)
    assert first == (
        "acme/support-en: spec.replicas = 11: replicas must not exceed scaling.maxRunners "
        "(replicas-within-max); lower replicas or raise scaling.maxRunners"
    )
    assert "spec.rollout.type = 'OnIdle'" in second
    assert resource.meta.uid == "40238bf5"


def test_a_field_that_this_operator_does_not_know_is_refused_not_ignored() -> None:
    resource = parse_resource(sent(spec__drain__ofALaterVersion=1))

    assert isinstance(resource.parsed, tuple)
    assert resource.parsed[0].rule == "unknown-field"


def test_connections_are_read_the_same_way() -> None:
    good, bad = parse_connection(sent(CONNECTION)), parse_connection(sent(CONNECTION, spec=...))

    assert isinstance(good.parsed, OrchestratorConnection)
    assert good.parsed.spec.secret_ref.name == "paddock-key"
    assert isinstance(bad.parsed, tuple)
    assert bad.parsed[0].field == "spec"


def test_what_no_server_sends_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        parse_resource({"spec": {}})


def test_what_is_left_of_an_invalid_manifest_is_enough_to_let_go_by() -> None:
    resource = parse_resource(
        sent(spec__drain={"timeoutSeconds": 77}, spec__scaling__minRunners="many", spec__new=1)
    )
    assert isinstance(resource.parsed, tuple)
    assert resource.rest is not None
    assert resource.rest.agent_id == "support-en"
    assert resource.rest.spec.drain.timeout_seconds == 77

    contradictory = parse_resource(sent(spec__scaling={"minRunners": 5, "maxRunners": 2}))
    assert isinstance(contradictory.parsed, tuple)
    assert contradictory.rest is not None

    assert parse_resource(sent(spec="nothing")).rest is None
