"""Each alert has its runbook, and whatever is measured is shown or watched."""

import json
import re
from pathlib import Path

import pytest
import yaml

from fakes.shown import alerts, expressions_of, metrics_of, rules_of
from observability.dashboards import FOLDER
from observability.metrics_page import declared
from paddock.cli.main import EXTRAS, OWN
from paddock_operator.observe.metrics import POOL_METRICS
from paddock_orchestrator.observe.metrics import ORCHESTRATOR_METRICS

ROOT = Path(__file__).parents[3]
RUNBOOKS = ROOT / "docs" / "runbooks"
PARTS = ("## What it means", "## How to look", "## How to mend it")


def test_each_alert_has_its_runbook_and_each_runbook_its_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == set(alerts())
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"


@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_what_is_wrong_and_how_much_it_matters(name: str) -> None:
    rule = alerts()[name]
    assert name.startswith("Paddock")
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"].endswith(".")


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_a_runbook_has_its_parts_and_names_commands_that_exist(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# {path.stem}\n")
    assert [part for part in PARTS if f"\n{part}\n" not in text] == []
    commands = set(re.findall(r"`paddock ([a-z]+)", text))
    assert commands - {*OWN, *EXTRAS} == set()


def test_the_rules_for_one_machine_ask_for_nothing_that_is_not_there() -> None:
    """`paddock up` shows the pool and the orchestrator; an alert about what is absent would never
    end."""
    page = (ROOT / "docs" / "operations.md").read_text()
    block = page.partition("\nOn one machine,")[2].partition("```yaml\n")[2].partition("```")[0]
    files = [path for name in yaml.safe_load(block)["rule_files"] for path in ROOT.glob(name)]
    rules = [rule for path in files for rule in rules_of(path)]
    shown = {metric.name for metric in (*POOL_METRICS, *ORCHESTRATOR_METRICS)}
    assert rules
    assert {name for rule in rules for name in metrics_of(rule["expr"])} - shown == set()


def test_every_metric_is_in_a_panel_or_an_alert_and_none_is_invented() -> None:
    names = {metric.name for metric in declared()}
    texts = [path.read_text() for path in FOLDER.glob("*.json")]
    asked = [one for text in texts for one in expressions_of(json.loads(text))]
    asked += [rule["expr"] for rule in alerts().values()]
    used = {name for one in asked for name in metrics_of(one)}
    assert names - used == set(), "nobody looks at these"
    assert used - names == set(), "nobody records these"
