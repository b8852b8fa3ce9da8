"""The schema for editors agrees with what is accepted."""

import json

import jsonschema_rs
import pytest
import yaml

from paddock_operator.model.parse import ManifestError, parse_manifest
from paddock_operator.model.schema import json_schema
from unit.model.manifests import SMALLEST, changed

MANIFESTS = [
    {},
    {"spec__scaling__warmSessions": "25%"},
    {"spec__scaling__warmSessions": "25 %"},
    {"spec__scaling__minRunners": -1},
    {"spec__scaling__scaleUp": {"maxStarting": 3}},
    {"spec__paused": "Sometimes"},
    {"spec__replicas": None},
    {"spec__template__spec__nodeSelector": {"a": "b"}},
    {"spec__template__spec__containers": []},
    {"spec__bogus": 1},
    {"metadata__name": "a" * 49},
    {"spec__agentId": "A"},
]


@pytest.mark.parametrize("change", MANIFESTS)
def test_schema_and_parser_agree_on_single_fields(change: dict[str, object]) -> None:
    text = changed(**change)
    try:
        parse_manifest(text)
        accepted = True
    except ManifestError:
        accepted = False

    assert jsonschema_rs.is_valid(json_schema(), yaml.safe_load(text)) == accepted


def test_it_names_its_dialect_and_is_plain_json() -> None:
    schema = json_schema()

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.loads(json.dumps(schema)) == schema


def test_every_field_is_described_and_in_camel_case() -> None:
    definitions = json_schema()["$defs"]
    assert isinstance(definitions, dict)
    for name, definition in definitions.items():
        for field, schema in definition["properties"].items():
            assert schema.get("description") or "$ref" in schema, f"{name}.{field}"
            assert "_" not in field


def test_optional_sections_default_to_empty_objects() -> None:
    definitions = json_schema()["$defs"]
    assert isinstance(definitions, dict)

    assert definitions["Spec"]["properties"]["scaling"]["default"] == {}
    assert definitions["Scaling"]["properties"]["maxRunners"]["default"] == 10
    assert definitions["Rollout"]["properties"]["maxSurge"]["default"] == "25%"


def test_the_smallest_manifest_is_valid() -> None:
    assert jsonschema_rs.is_valid(json_schema(), yaml.safe_load(SMALLEST))
