"""The dashboard of all pools: which one needs a look."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as grafana

from observability.frame import board, choice
from observability.panels import Series, lines, number, rows_of

ALL: Final = '{namespace=~"$namespace"}'
BY: Final = ("namespace", "pool")
_NAMED: Final = "{{namespace}}/{{pool}}"


def _of(state: str) -> str:
    return f'{{namespace=~"$namespace", state="{state}"}}'


def _each(metric: str, selector: str = ALL) -> str:
    return f"sum by (namespace, pool) ({metric}{selector})"


def fleet() -> grafana.Dashboard:
    made = board("fleet", "Fleet", "All pools side by side.").with_variable(
        choice(
            "namespace",
            "Namespace",
            "label_values(paddock_pool_desired_runners, namespace)",
            several=True,
        )
    )
    for row in (_now, _table, _sizes, _troubles):
        row(made)
    return made


def _now(made: grafana.Dashboard) -> None:
    made.with_panel(
        number(
            "Pools", "That are looked after.", f"count(paddock_pool_desired_runners{ALL})", width=4
        )
    ).with_panel(
        number(
            "In flight",
            "Sessions that take a slot.",
            f"sum(paddock_pool_sessions{_of('in_flight')})",
            width=4,
        )
    ).with_panel(
        number(
            "Queued",
            "Starts that wait.",
            f"sum(paddock_pool_sessions{_of('queued')})",
            bad_from=1,
            width=4,
        )
    ).with_panel(
        number(
            "Runners", "That are there, in any state.", f"sum(paddock_pool_runners{ALL})", width=4
        )
    ).with_panel(
        number(
            "Calls lost",
            "Within the time shown.",
            f"round(sum(increase(paddock_pool_sessions_lost_total{ALL}[$__range])))",
            bad_from=0.5,
            width=4,
        )
    ).with_panel(
        number(
            "Stale pools",
            "Without statistics for 45 s or more, or without any so far.",
            f"(sum(paddock_pool_stats_age_seconds{ALL} > bool 45) or vector(0)) + "
            f"(count(paddock_pool_desired_runners{ALL} unless on (namespace, pool) "
            f"paddock_pool_stats_age_seconds{ALL}) or vector(0))",
            bad_from=1,
            width=4,
        )
    )


def _table(made: grafana.Dashboard) -> None:
    made.with_panel(
        rows_of(
            "Pools",
            "As they are now.",
            BY,
            Series(_each("paddock_pool_sessions", _of("in_flight")), "in flight"),
            Series(_each("paddock_pool_sessions", _of("queued")), "queued"),
            Series(_each("paddock_pool_sessions", _of("free")), "free slots"),
            Series(_each("paddock_pool_runners", _of("ready")), "ready"),
            Series(_each("paddock_pool_desired_runners"), "wanted"),
            Series(_each("paddock_pool_max_runners"), "at most"),
            Series(
                f"round(sum by (namespace, pool) (increase(paddock_pool_sessions_lost_total{ALL}[$__range])))",
                "calls lost",
            ),
            Series(
                f"sum by (namespace, pool) (increase(paddock_pool_runner_seconds_total{ALL}[$__range])) / 3600",
                "runner-hours",
            ),
            Series(_each("paddock_pool_stats_age_seconds"), "age of statistics, s"),
        )
    )


def _sizes(made: grafana.Dashboard) -> None:
    made.with_panel(
        lines(
            "In flight",
            "By pool.",
            Series(_each("paddock_pool_sessions", _of("in_flight")), _NAMED),
            stacked=True,
        )
    ).with_panel(
        lines(
            "Runners",
            "By pool, in any state.",
            Series(_each("paddock_pool_runners"), _NAMED),
            stacked=True,
        )
    ).with_panel(
        lines(
            "Use of slots",
            "Sessions among all slots, by pool.",
            Series(
                f"{_each('paddock_pool_sessions', _of('in_flight'))} / "
                f"({_each('paddock_pool_sessions', _of('in_flight'))} + {_each('paddock_pool_sessions', _of('free'))})",
                _NAMED,
            ),
            unit="percentunit",
        )
    )


def _troubles(made: grafana.Dashboard) -> None:
    made.with_panel(
        lines(
            "Queued",
            "Starts that wait, by pool.",
            Series(_each("paddock_pool_sessions", _of("queued")), _NAMED),
            stacked=True,
        )
    ).with_panel(
        lines(
            "Starts that failed",
            "In each step, by pool.",
            Series(
                f"sum by (namespace, pool) (increase(paddock_pool_start_failures_total{ALL}[$__rate_interval]))",
                _NAMED,
            ),
            stacked=True,
        )
    ).with_panel(
        lines(
            "Calls lost",
            "In each step, by pool.",
            Series(
                f"sum by (namespace, pool) (increase(paddock_pool_sessions_lost_total{ALL}[$__rate_interval]))",
                _NAMED,
            ),
            stacked=True,
        )
    )
