"""The custom resource definitions are those of the model, and what an API server needs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from paddock_operator.model.crd import DEFINITIONS, definition_yaml
from paddock_operator.model.rules import AGENT_ID_STAYS, RULES

FOLDER = Path(__file__).parents[3] / "crds"


def schema_of(name: str) -> dict[str, Any]:
    (version,) = yaml.safe_load(definition_yaml(name))["spec"]["versions"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return schema


def fields(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field of a schema with its dotted path."""
    for name, field in node.get("properties", {}).items():
        at = f"{path}.{name}".lstrip(".")
        yield at, field
        yield from fields(field, at)
        yield from fields(field.get("items", {}), f"{at}[]")


def every_field(name: str) -> list[tuple[str, dict[str, Any]]]:
    return [one for one in fields(schema_of(name)) if not one[0].startswith("metadata")]


by_name = pytest.mark.parametrize("name", DEFINITIONS)


@by_name
def test_files_are_what_the_model_writes(name: str) -> None:
    """Write it anew with `python -m paddock_operator.model.crd NAME > crds/NAME.yaml`."""
    assert definition_yaml(name) == (FOLDER / f"{name}.yaml").read_text()


def test_there_is_no_other_file() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(DEFINITIONS)


@by_name
def test_every_field_is_described(name: str) -> None:
    assert [path for path, field in every_field(name) if not field.get("description")] == []


@by_name
def test_every_list_is_bounded_and_says_how_it_is_merged(name: str) -> None:
    lists = {path: field for path, field in every_field(name) if field.get("type") == "array"}

    assert lists
    for path, field in lists.items():
        assert "maxItems" in field, path
        assert field["x-kubernetes-list-type"] in ("map", "atomic"), path


@by_name
def test_it_is_structural(name: str) -> None:
    for path, field in every_field(name):
        assert "$ref" not in field, path
        assert ("type" in field) != ("x-kubernetes-int-or-string" in field), path
        assert ("anyOf" in field) == ("x-kubernetes-int-or-string" in field), path


def test_every_optional_section_has_a_default_so_that_rules_can_look_into_it() -> None:
    spec = schema_of("agentdeployments")["properties"]["spec"]
    read = {".".join(rule.field.split(".")[1:-1]) for rule in RULES} - {"", "template.spec"}
    sections = dict(fields(spec))

    assert {path for path in read if sections[path].get("default") != {}} == set()


def test_nothing_is_filled_into_the_template() -> None:
    """It would be another revision in a cluster than on one machine."""
    template = schema_of("agentdeployments")["properties"]["spec"]["properties"]["template"]

    assert [path for path, field in fields(template) if "default" in field] == []


def test_the_status_is_never_filled_in() -> None:
    for name in DEFINITIONS:
        status = schema_of(name)["properties"]["status"]
        assert [path for path, field in fields(status) if "default" in field] == []


def test_rules_carry_their_message_and_field() -> None:
    written = schema_of("agentdeployments")["x-kubernetes-validations"]

    expected = [(rule.message, rule.field) for rule in RULES if rule.cel]
    expected.append((AGENT_ID_STAYS.message, AGENT_ID_STAYS.field))
    assert [(row["message"], row["fieldPath"].lstrip(".")) for row in written] == expected


@by_name
def test_rules_point_at_fields_that_exist(name: str) -> None:
    known = {f".{path}" for path, _ in fields(schema_of(name))}

    assert {row["fieldPath"] for row in schema_of(name)["x-kubernetes-validations"]} <= known


@by_name
def test_columns_show_fields_that_exist(name: str) -> None:
    (version,) = yaml.safe_load(definition_yaml(name))["spec"]["versions"]
    known = {f".{path}" for path, _ in fields(schema_of(name))} | {".metadata.creationTimestamp"}
    paths = {column["jsonPath"] for column in version["additionalPrinterColumns"]}

    assert {path.split("[?")[0] for path in paths} <= known
