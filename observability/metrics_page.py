"""The metrics' reference page, written from their declarations so that it stays true.

`python -m observability.metrics_page > docs/metrics.md` writes it anew.
"""

import sys
from collections.abc import Sequence
from itertools import chain

from paddock.exposition import Metric, Words
from paddock.runner_metrics import RUNNER_METRICS
from paddock_operator.observe.metrics import OPERATOR_METRICS, POOL_METRICS
from paddock_orchestrator.observe.metrics import ORCHESTRATOR_METRICS

_INTRO = """\
# Metrics

This page is generated. Change the declarations, then run
`python -m observability.metrics_page > docs/metrics.md`.

| process | scraped at |
|---|---|
| `paddock operator` | `/metrics` of its `--probe-port` |
| `paddock up`, which shows a pool as the operator does | `/metrics` of its `--metrics-port` |
| `paddock orchestrator` | `/metrics` of its port |
| a runner | `/metrics` of `PADDOCK_METRICS_PORT`, when that is set |

No key is asked for. The format is Prometheus' text format.
Every label has a closed set of values, but for the names of namespaces, pools, organizations and
agents. Counters begin at 0 with their process, with every value of their labels that is not an HTTP
status. Of drains only what they usually come to is there from the beginning.

The [dashboards](../charts/paddock/dashboards) and [alerts](../charts/paddock/alerts) look at every metric here; each
alert has its [runbook](runbooks). [Operations](operations.md#metrics-dashboards-alerts) says how to have them.
"""

_STATS = """\
## `runner.stats()`

| figure | of the runner | of the agent, at the orchestrator |
|---|---|---|
| `in_flight` | `paddock_runner_in_flight` | `paddock_orchestrator_sessions{state="in_flight"}` |
| `queued` | `paddock_runner_queued` | `paddock_orchestrator_sessions{state="queued"}` |
| `capacity` | `paddock_runner_capacity` | `paddock_orchestrator_capacity` |
| `completed_last_hour` | `paddock_runner_sessions_last_hour{outcome="completed"}` | \
`paddock_orchestrator_sessions_last_hour{outcome="completed"}` |
| `failed_last_hour` | `paddock_runner_sessions_last_hour{outcome="failed"}` | \
`paddock_orchestrator_sessions_last_hour{outcome="failed"}` |
| `mean_call_duration_s` | `paddock_runner_session_mean_seconds` | \
`paddock_orchestrator_session_mean_seconds` |
"""

_PICTURES = """\
## Dashboards

Drawn by `observability/draw.py` from the demo, played three times, and from an operator on a test cluster.

| | |
|---|---|
| *Pool*: one pool, its sessions, runners, decisions and drains | ![Pool](images/pool.png) |
| *Fleet*: all pools side by side | ![Fleet](images/fleet.png) |
| *Orchestrator*: starts, refusals, sockets, store | ![Orchestrator](images/orchestrator.png) |
| *Operator*: passes, API calls, watches, leadership | ![Operator](images/operator.png) |
"""

SECTIONS: tuple[tuple[str, Sequence[Metric]], ...] = (
    ("Pools", POOL_METRICS),
    ("Operator", OPERATOR_METRICS),
    ("Orchestrator", ORCHESTRATOR_METRICS),
    ("Runner", RUNNER_METRICS),
)


def declared() -> tuple[Metric, ...]:
    """Every metric of every process."""
    return tuple(chain.from_iterable(metrics for _, metrics in SECTIONS))


def markdown() -> str:
    """The whole page."""
    return "\n".join((_INTRO, *(_section(*section) for section in SECTIONS), _STATS, _PICTURES))


def _section(title: str, metrics: Sequence[Metric]) -> str:
    lines = [f"## {title}\n", "| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for metric in metrics:
        labels = "; ".join(_label(name, words) for name, words in metric.labels.items())
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.text} |")
    return "\n".join(lines) + "\n"


def _label(name: str, words: Words) -> str:
    said = words if isinstance(words, str) else ", ".join(words)
    return f"`{name}`: {said}" if said else f"`{name}`"


if __name__ == "__main__":
    sys.stdout.write(markdown())
