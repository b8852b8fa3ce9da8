"""Bounds that a shared type must not hide."""

import pytest
import yaml

from paddock_operator.model.parse import ManifestError, parse_manifest


@pytest.mark.parametrize(
    ("section", "field"),
    [
        ("scaling", "maxRunners"),
        ("sessions", "maxDurationSeconds"),
        ("failure", "startDeadlineSeconds"),
    ],
)
def test_a_field_that_must_be_at_least_one_refuses_zero(section: str, field: str) -> None:
    manifest = {
        "apiVersion": "paddock.dev/v1alpha1",
        "kind": "AgentDeployment",
        "metadata": {"name": "x"},
        "spec": {
            "sessionsPerRunner": 1,
            section: {field: 0, **({"minRunners": 0} if section == "scaling" else {})},
            "template": {"spec": {"containers": [{"name": "runner"}]}},
        },
    }

    with pytest.raises(ManifestError) as refused:
        parse_manifest(yaml.safe_dump(manifest))

    assert f"spec.{section}.{field}" in str(refused.value)
