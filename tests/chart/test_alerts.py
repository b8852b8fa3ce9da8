"""The alerts as an installation has them, played by Prometheus' own tool."""

from pathlib import Path

import pytest
import yaml

from chart.rendering import CASES, MONITORED, Json, of_kind, render
from fakes.prometheus import promtool
from testbed.cluster import Cluster

pytestmark = [pytest.mark.api, pytest.mark.usefixtures("prometheus_tools")]

_SAID = {
    "description": "Calls go on; no pool grows, shrinks or replaces a runner.",
    "runbook_url": "docs/runbooks/PaddockNoLeader.md",
}


def without_leader(objects: list[Json], folder: Path, leading: str, *missing: str) -> None:
    """AssertionError unless PaddockNoLeader fires for the leases in the namespaces `missing`, when
    the one in `leading` alone has a leader."""
    rule = next(o for o in of_kind(objects, "PrometheusRule") if "operator" in str(o["metadata"]))
    (folder / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]))
    series = f'paddock_operator_leader{{instance="op:8601",lease_namespace="{leading}"}}'
    fired = [
        {
            "exp_labels": {"severity": "critical", "lease_namespace": namespace},
            "exp_annotations": {
                **_SAID, "summary": f"No operator is at work for the lease in {namespace}",
            },
        }
        for namespace in missing
    ]  # fmt: skip
    alert = {"alertname": "PaddockNoLeader", "eval_time": "5m", "exp_alerts": fired}
    test = {
        "interval": "1m", "input_series": [{"series": series, "values": "1x10"}],
        "alert_rule_test": [alert],
    }  # fmt: skip
    played = folder / "played.yaml"
    played.write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [test]}))
    done = promtool("test", "rules", str(played))
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_operator_of_several_that_is_gone_is_told_of(cluster: Cluster, tmp_path: Path) -> None:
    """Its series went with it, and the other's are well."""
    objects = render(cluster, CASES["of some namespaces"], apis=MONITORED)

    without_leader(objects, tmp_path, "voice", "sales")


def test_the_one_operator_of_a_cluster_is_asked_for_by_its_lease(
    cluster: Cluster, tmp_path: Path
) -> None:
    """That of another installation does not stand in for it."""
    objects = render(cluster, CASES["pools elsewhere"], apis=MONITORED)

    without_leader(objects, tmp_path, "voice")
    without_leader(objects, tmp_path, "elsewhere", "voice")
