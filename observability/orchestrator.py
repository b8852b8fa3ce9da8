"""The dashboard of the orchestrators: do starts get their sessions, and how fast."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as grafana

from observability.frame import board, choice
from observability.panels import Series, lines, number, quantiles

IT: Final = '{instance=~"$instance"}'
OF: Final = '{instance=~"$instance", agent=~"$pool"}'


def _of(state: str) -> str:
    return f'{{instance=~"$instance", agent=~"$pool", state="{state}"}}'


def _rate(metric: str, selector: str = OF, by: str = "") -> str:
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({metric}{selector}[$__rate_interval]))"


def orchestrator() -> grafana.Dashboard:
    made = (
        board("orchestrator", "Orchestrator", "Starts, refusals, sockets and records.")
        .with_variable(
            choice(
                "instance",
                "Orchestrator",
                "label_values(paddock_orchestrator_store_up, instance)",
                several=True,
            )
        )
        .with_variable(
            choice(
                "pool",
                "Pool",
                'label_values(paddock_orchestrator_capacity{instance=~"$instance"}, agent)',
                several=True,
            )
        )
    )
    for row in (_now, _starts, _sessions, _process):
        row(made)
    return made


def _now(made: grafana.Dashboard) -> None:
    made.with_panel(
        number(
            "Starts per second",
            "That asked for capacity.",
            _rate("paddock_orchestrator_arrivals_total"),
            unit="ops",
        )
    ).with_panel(
        number(
            "Refused",
            "Of the starts within the time shown.",
            f"sum(increase(paddock_orchestrator_refusals_total{OF}[$__range])) / sum(increase(paddock_orchestrator_arrivals_total{OF}[$__range]))",
            unit="percentunit",
            bad_from=0.01,
        )
    ).with_panel(
        number(
            "In flight",
            "Sessions that take a slot.",
            f"sum(paddock_orchestrator_sessions{_of('in_flight')})",
        )
    ).with_panel(
        number(
            "Calls lost",
            "Within the time shown.",
            f"round(sum(increase(paddock_orchestrator_sessions_lost_total{OF}[$__range])))",
            bad_from=0.5,
        )
    ).with_panel(
        number(
            "Completed, last hour",
            "Sessions that ended well.",
            'sum(paddock_orchestrator_sessions_last_hour{instance=~"$instance", agent=~"$pool", outcome="completed"})',
        )
    ).with_panel(
        number(
            "Failed, last hour",
            "Sessions that ended in error, or were lost.",
            'sum(paddock_orchestrator_sessions_last_hour{instance=~"$instance", agent=~"$pool", outcome="failed"})',
        )
    ).with_panel(
        number(
            "Stores that fail",
            "Orchestrators that cannot write records, and refuse starts.",
            f"sum(paddock_orchestrator_store_up{IT} == bool 0)",
            bad_from=1,
        )
    ).with_panel(
        number(
            "Ends not written",
            "Kept in memory until the store takes them.",
            f"sum(paddock_orchestrator_unsaved_ends{IT})",
            bad_from=1,
        )
    )


def _starts(made: grafana.Dashboard) -> None:
    made.with_row(grafana.Row("Starts")).with_panel(
        lines(
            "Starts by outcome",
            "Per second. Rejected: refused before they asked for capacity.",
            Series(_rate("paddock_orchestrator_answered_total"), "answered"),
            Series(_rate("paddock_orchestrator_refusals_total"), "refused"),
            Series(_rate("paddock_orchestrator_starts_rejected_total", IT), "rejected"),
            Series(_rate("paddock_orchestrator_late_total"), "late"),
            Series(_rate("paddock_orchestrator_arrivals_total"), "arrived"),
            unit="ops",
            stacked=True,
            over=("late", "arrived"),
            known=("answered", "refused", "rejected"),
        )
    ).with_panel(
        lines(
            "Dispatch latency",
            "From an admitted start to its answer with a session.",
            *quantiles("paddock_orchestrator_start_seconds", IT, of=(50, 95, 99)),
            unit="s",
        )
    ).with_panel(
        lines(
            "Refusals by reason",
            "Per second; of rejected starts, too.",
            Series(
                _rate("paddock_orchestrator_refusals_total", by="reason") + " > 0", "{{reason}}"
            ),
            Series(
                _rate("paddock_orchestrator_starts_rejected_total", IT, by="reason") + " > 0",
                "{{reason}}, rejected",
            ),
            unit="ops",
            stacked=True,
        )
    )


def _sessions(made: grafana.Dashboard) -> None:
    made.with_row(grafana.Row("Sessions and runners")).with_panel(
        lines(
            "Sessions and capacity",
            "Capacity: slots of connected runners that take sessions.",
            Series(f"sum(paddock_orchestrator_sessions{_of('in_flight')})", "in flight"),
            Series(f"sum(paddock_orchestrator_sessions{_of('queued')})", "queued"),
            Series(f"sum(paddock_orchestrator_capacity{OF})", "capacity"),
            known=("in flight", "queued", "capacity"),
        )
    ).with_panel(
        lines(
            "Runners",
            "By state; gone: without a socket.",
            Series(f"sum by (state) (paddock_orchestrator_runners{OF})", "{{state}}"),
            stacked=True,
            known=("serving", "draining", "gone"),
        )
    ).with_panel(
        lines(
            "Ends by reason",
            "Sessions per second.",
            Series(
                _rate("paddock_orchestrator_sessions_ended_total", by="reason") + " > 0",
                "{{reason}}",
            ),
            Series(_rate("paddock_orchestrator_completions_total"), "answered ones"),
            unit="ops",
            stacked=True,
            over=("answered ones",),
            known=("completed", "runner_lost"),
        )
    ).with_panel(
        lines(
            "Length of sessions",
            "From entrypoint to end of call, and the last hour's mean.",
            *quantiles("paddock_orchestrator_session_seconds", IT, of=(50, 95)),
            Series(
                f"avg(paddock_orchestrator_session_mean_seconds{OF} > 0)", "mean of the last hour"
            ),
            unit="s",
            width=12,
        )
    ).with_panel(
        lines(
            "Calls lost",
            "In each step, by how the runner was lost.",
            Series(
                f"sum by (cause) (increase(paddock_orchestrator_sessions_lost_total{OF}[$__rate_interval]))",
                "{{cause}}",
            ),
            width=12,
            stacked=True,
        )
    )


def _process(made: grafana.Dashboard) -> None:
    made.with_row(grafana.Row("Sockets and store")).with_panel(
        lines(
            "Sockets",
            "Open WebSockets by kind.",
            Series(f"sum by (kind) (paddock_orchestrator_sockets{IT})", "{{kind}}"),
            stacked=True,
        )
    ).with_panel(
        lines(
            "Writes that wait",
            "And ends that could not be written.",
            Series(
                f"sum by (instance) (paddock_orchestrator_store_queue{IT})", "writes {{instance}}"
            ),
            Series(
                f"sum by (instance) (paddock_orchestrator_unsaved_ends{IT})", "ends {{instance}}"
            ),
        )
    ).with_panel(
        lines(
            "Time to commit",
            "Of the newest commit.",
            Series(
                f"max by (instance) (paddock_orchestrator_store_commit_seconds{IT})", "{{instance}}"
            ),
            unit="s",
        )
    )
