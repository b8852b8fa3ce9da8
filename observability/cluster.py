"""The dashboard of the operator: is it at work, does it keep up, does the API server answer."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as grafana

from observability.frame import board, choice
from observability.panels import Series, lines, number, quantiles

IT: Final = '{instance=~"$instance"}'


def operator() -> grafana.Dashboard:
    made = board(
        "operator", "Operator", "Passes, API calls, watches and leadership."
    ).with_variable(
        choice(
            "instance", "Operator", "label_values(paddock_operator_leader, instance)", several=True
        )
    )
    for row in (_now, _passes, _api):
        row(made)
    return made


def _now(made: grafana.Dashboard) -> None:
    made.with_panel(
        number(
            "Leaders", "One is right, for each lease.", f"sum(paddock_operator_leader{IT})", width=4
        )
    ).with_panel(
        number("Pools that wait", "For a pass.", f"sum(paddock_operator_queue_depth{IT})", width=4)
    ).with_panel(
        number(
            "Watch lag",
            "Of the quietest watch.",
            f"max(paddock_operator_watch_lag_seconds{IT})",
            unit="s",
            bad_from=120,
            width=4,
        )
    ).with_panel(
        number(
            "Event loop lag",
            "At worst within a minute.",
            f"max(paddock_operator_event_loop_lag_seconds{IT})",
            unit="s",
            bad_from=1,
            width=4,
        )
    ).with_panel(
        number(
            "API requests without success",
            "Of all within the time shown, 404 and 409 excepted.",
            f'sum(increase(paddock_operator_apiserver_requests_total{{instance=~"$instance", code!~"2..|404|409"}}[$__range]) or vector(0)) / '
            f"sum(increase(paddock_operator_apiserver_requests_total{IT}[$__range]))",
            unit="percentunit",
            bad_from=0.05,
            width=8,
        )
    )


def _passes(made: grafana.Dashboard) -> None:
    made.with_row(grafana.Row("Passes")).with_panel(
        lines(
            "Passes",
            "Per second, over all pools.",
            Series(
                f"sum by (instance) (rate(paddock_operator_reconcile_seconds_count{IT}[$__rate_interval]))",
                "{{instance}}",
            ),
            unit="ops",
        )
    ).with_panel(
        lines(
            "Time of a pass",
            "Over one pool, with its writes.",
            *quantiles("paddock_operator_reconcile_seconds", IT, of=(50, 95, 99)),
            unit="s",
        )
    ).with_panel(
        lines(
            "Leadership",
            "1 at the one that is at work.",
            Series(
                f"max by (lease_namespace, instance) (paddock_operator_leader{IT})",
                "{{lease_namespace}}: {{instance}}",
            ),
            stacked=True,
        )
    ).with_panel(
        lines(
            "Pools that wait for a pass",
            "Above 0 for long: it does not keep up.",
            Series(f"sum by (instance) (paddock_operator_queue_depth{IT})", "{{instance}}"),
        )
    ).with_panel(
        lines(
            "Watch lag",
            "Since the newest line of each watch.",
            Series(f"max by (resource) (paddock_operator_watch_lag_seconds{IT})", "{{resource}}"),
            unit="s",
        )
    ).with_panel(
        lines(
            "Event loop lag",
            "How late it ran what was due, at worst within a minute.",
            Series(
                f"max by (instance) (paddock_operator_event_loop_lag_seconds{IT})", "{{instance}}"
            ),
            unit="s",
        )
    )


def _api(made: grafana.Dashboard) -> None:
    made.with_row(grafana.Row("The API server")).with_panel(
        lines(
            "Requests by verb",
            "Per second.",
            Series(
                f"sum by (verb) (rate(paddock_operator_apiserver_requests_total{IT}[$__rate_interval])) > 0",
                "{{verb}}",
            ),
            unit="ops",
            stacked=True,
        )
    ).with_panel(
        lines(
            "Requests by answer",
            "Per second, by HTTP status; 0: no answer.",
            Series(
                f"sum by (code) (rate(paddock_operator_apiserver_requests_total{IT}[$__rate_interval]))",
                "{{code}}",
            ),
            unit="ops",
            stacked=True,
        )
    ).with_panel(
        lines(
            "Time of a request, p95",
            "By verb and resource, watches excepted.",
            Series(
                f"histogram_quantile(0.95, sum by (le, verb, resource) (rate(paddock_operator_apiserver_request_seconds_bucket{IT}[$__rate_interval]))) >= 0",
                "{{verb}} {{resource}}",
            ),
            unit="s",
        )
    )
