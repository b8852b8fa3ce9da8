"""The alerts, as Prometheus' own tool reads and plays them."""

import json
import re
from pathlib import Path

import pytest
import yaml

from fakes.prometheus import promtool
from fakes.shown import ALERTS, alerts
from observability.dashboards import FOLDER
from testbed.places import CHECKOUT

PLAYED = Path(__file__).with_name("alerts_test.yaml")

pytestmark = pytest.mark.usefixtures("prometheus_tools")


def test_prometheus_takes_every_rule() -> None:
    done = promtool("check", "rules", *map(str, sorted(ALERTS.glob("*.yaml"))))
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_every_configuration_of_the_pages(tmp_path: Path) -> None:
    (tmp_path / "charts").symlink_to(CHECKOUT / "charts")
    page = (CHECKOUT / "docs" / "operations.md").read_text()
    blocks = re.findall(r"^```yaml\n(scrape_configs:\n.*?)^```$", page, re.M | re.S)
    assert len(blocks) == 2
    for block in blocks:
        # Debian's is built without Kubernetes.
        known = block.replace("kubernetes_sd_configs: [{role: pod}]", "static_configs: []")
        (tmp_path / "prometheus.yaml").write_text(known)
        done = promtool("check", "config", str(tmp_path / "prometheus.yaml"))
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("ages", "stale"), [({"old": 50, "new": 5}, 2), ({"new": 5}, 2), ({}, 3)])
def test_a_pool_that_was_never_heard_is_stale(
    tmp_path: Path, ages: dict[str, int], stale: int
) -> None:
    """Of the three pools, those that are heard too seldom and those that never were."""
    panels = json.loads((FOLDER / "fleet.json").read_text())["panels"]
    (panel,) = [one for one in panels if one["title"] == "Stale pools"]
    query = panel["targets"][0]["expr"].replace("$namespace", ".*")
    figures = {
        **{f"paddock_pool_stats_age_seconds{_of(pool)}": age for pool, age in ages.items()},
        **{f"paddock_pool_desired_runners{_of(pool)}": 1 for pool in ("old", "new", "never")},
    }
    series = [{"series": name, "values": f"{value}x3"} for name, value in figures.items()]
    asked = {"expr": query, "eval_time": "1m", "exp_samples": [{"labels": "{}", "value": stale}]}
    test = {"interval": "1m", "input_series": series, "promql_expr_test": [asked]}
    (tmp_path / "played.yaml").write_text(yaml.safe_dump({"tests": [test]}))
    done = promtool("test", "rules", str(tmp_path / "played.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


def _of(pool: str) -> str:
    return f'{{namespace="voice",pool="{pool}"}}'


def test_each_alert_fires_when_it_should_and_for_whom_it_should() -> None:
    done = promtool("test", "rules", str(PLAYED))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_played() -> None:
    played = {
        one["alertname"]
        for test in yaml.safe_load(PLAYED.read_text())["tests"]
        for one in test["alert_rule_test"]
        if one["exp_alerts"]
    }
    assert played == set(alerts())
