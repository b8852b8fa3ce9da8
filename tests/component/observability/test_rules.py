"""The alerts, as Prometheus' own tool reads and plays them."""

import re
from pathlib import Path

import pytest
import yaml

from fakes.prometheus import promtool
from fakes.shown import ALERTS, alerts
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
