"""The chart, the package and the definitions say the same."""

from itertools import pairwise

import pytest
import yaml
from click.testing import CliRunner

from chart.rendering import CHART, Json, values_file
from paddock.version import __version__
from paddock_operator.backends.kubernetes.checks import OLDEST
from paddock_operator.install_cli import crds
from testbed.places import CHECKOUT

SCHEMA: Json = yaml.safe_load((CHART / "values.schema.json").read_text())


def test_the_chart_is_of_the_package_s_version_and_for_the_same_clusters() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert chart["appVersion"] == __version__
    assert chart["version"] == __version__
    assert chart["kubeVersion"] == f">=1.{OLDEST}.0-0"


def test_the_chart_s_definitions_are_those_of_the_model() -> None:
    kept = {path.name: path.read_text() for path in (CHART / "crds").iterdir()}

    assert kept == {path.name: path.read_text() for path in (CHECKOUT / "crds").iterdir()}
    assert CliRunner().invoke(crds).output == "".join(kept[name] for name in sorted(kept))


def test_every_value_has_a_comment() -> None:
    """The line above it, or the comment of the mapping that it belongs to."""
    lines = values_file().read_text().splitlines()
    bare = [
        line
        for before, line in pairwise(lines)
        if line.startswith("  ") and ":" in line and not line.lstrip().startswith("#")
        and not before.lstrip().startswith("#") and not line.endswith(":")
        and not line.strip().startswith(("requests:", "limits:"))
    ]  # fmt: skip

    assert bare == []


def _paths(node: Json, values: bool, at: str = "") -> set[str]:
    """Of the leaves of the values, or of what the schema allows."""
    inner = node if values else node.get("properties")
    closed = at.endswith(("resources", "affinity", "Labels", "labels", "annotations"))
    if not isinstance(inner, dict) or not inner or closed:
        return {at}
    return {p for key, below in inner.items() for p in _paths(below, values, f"{at}.{key}")}


def test_the_schema_knows_every_value_and_no_other() -> None:
    values = yaml.safe_load(values_file().read_text())

    assert _paths(SCHEMA, values=False) - {".global"} == _paths(values, values=True)


def _objects(node: Json) -> list[Json]:
    below = [found for inner in node.get("properties", {}).values() for found in _objects(inner)]
    return [node, *below] if "properties" in node else []


@pytest.mark.parametrize("node", _objects(SCHEMA), ids=lambda node: str(sorted(node["properties"])))
def test_a_value_that_is_spelled_wrong_is_refused_everywhere(node: Json) -> None:
    assert node["additionalProperties"] is False
