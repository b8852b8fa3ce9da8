"""What dashboards and alerts ask Prometheus for."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from observability.dashboards import FOLDER

ALERTS = FOLDER.parent / "alerts"
_SELECTOR = re.compile(r"(paddock_[a-z_]+)(\{[^}]*\})?")


def expressions_of(dashboard: dict[str, Any]) -> Iterator[str]:
    """The queries of every panel, and of annotations."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"]
    for annotation in dashboard.get("annotations", {}).get("list", []):
        yield annotation["expr"]


def alerts() -> dict[str, dict[str, Any]]:
    """Every rule by its alert's name."""
    rules = [rule for path in sorted(ALERTS.glob("*.yaml")) for rule in rules_of(path)]
    named = {rule["alert"]: rule for rule in rules}
    assert len(named) == len(rules), "two alerts of one name"
    return named


def rules_of(path: Path) -> list[dict[str, Any]]:
    """Those of one file."""
    groups = yaml.safe_load(path.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def selectors_of(expression: str) -> set[str]:
    """`name{matchers}` of every series that it reads."""
    return {"".join(part or "" for part in found) for found in _SELECTOR.findall(expression)}


def metrics_of(expression: str) -> set[str]:
    """The names of those; of histograms without their suffixes."""
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name, _ in _SELECTOR.findall(expression)}
