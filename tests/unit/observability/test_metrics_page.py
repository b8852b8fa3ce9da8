"""The metrics' page is the one that the declarations write, and names keep Prometheus' habits."""

from pathlib import Path

import pytest

from observability.metrics_page import SECTIONS, declared, markdown
from paddock.exposition import Metric

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"
PREFIXES = {
    "Pools": "paddock_pool_", "Operator": "paddock_operator_",
    "Orchestrator": "paddock_orchestrator_", "Runner": "paddock_runner_",
}  # fmt: skip


def test_page_is_what_the_declarations_write() -> None:
    """Write it anew with `python -m observability.metrics_page > docs/metrics.md`."""
    assert markdown() == PAGE.read_text()


def test_every_metric_has_the_prefix_of_its_process_and_a_name_of_its_own() -> None:
    for title, metrics in SECTIONS:
        assert [m.name for m in metrics if not m.name.startswith(PREFIXES[title])] == []
    names = [metric.name for metric in declared()]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("metric", declared(), ids=lambda metric: metric.name)
def test_a_name_says_the_kind_and_the_unit_in_prometheus_way(metric: Metric) -> None:
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not metric.name.endswith(("_ms", "_milliseconds", "_count", "_sum", "_bucket"))
    if metric.kind == "histogram":
        assert metric.name.endswith("_seconds")
        assert list(metric.bounds) == sorted(set(metric.bounds))
    assert metric.text.endswith(".")
    assert "le" not in metric.labels
