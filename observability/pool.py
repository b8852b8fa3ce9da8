"""The dashboard of one pool: is there room, why is it as large as it is, was anybody cut off."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as grafana

from observability.frame import board, choice
from observability.panels import SOURCE, Series, lines, number, quantiles

RUNNER_STATES: Final = ("starting", "ready", "draining", "unknown")
POOL: Final = '{namespace="$namespace", pool="$pool"}'


def _of(state: str) -> str:
    return f'{{namespace="$namespace", pool="$pool", state="{state}"}}'


def _ended(outcome: str) -> str:
    return f'{{namespace="$namespace", pool="$pool", outcome="{outcome}"}}'


CAPACITY: Final = (
    f"sum(paddock_pool_sessions{_of('in_flight')}) - sum(paddock_pool_sessions{_of('draining')}) + "
    f"sum(paddock_pool_sessions{_of('free')})"
)


def pool() -> grafana.Dashboard:
    made = (
        board("pool", "Pool", "One pool: its sessions, its runners, and why it has so many.")
        .with_variable(
            choice(
                "namespace", "Namespace", "label_values(paddock_pool_desired_runners, namespace)"
            )
        )
        .with_variable(
            choice(
                "pool",
                "Pool",
                'label_values(paddock_pool_desired_runners{namespace="$namespace"}, pool)',
            )
        )
        .annotation(_decisions())
    )
    for row in (_now, _sessions, _runners, _drains, _inside):
        row(made)
    return made


def _decisions() -> grafana.AnnotationQuery:
    return (
        grafana.AnnotationQuery()
        .name("Decisions")
        .datasource(SOURCE)
        .enable(True)
        .icon_color("blue")
        .expr(
            f"sum by (direction, reason) (increase(paddock_pool_scale_decisions_total{POOL}[$__rate_interval])) > 0"
        )
        .title_format("{{direction}}, by {{reason}}")
        .text_format("The size that the pool should have was changed.")
        .tag_keys("direction,reason")
        .step("15s")
    )


def _now(made: grafana.Dashboard) -> None:
    made.with_panel(
        number(
            "In flight",
            "Sessions that take a slot.",
            f"sum(paddock_pool_sessions{_of('in_flight')})",
        )
    ).with_panel(
        number(
            "Queued",
            "Starts that wait for a slot.",
            f"sum(paddock_pool_sessions{_of('queued')})",
            bad_from=1,
        )
    ).with_panel(
        number("Free slots", "That can be taken now.", f"sum(paddock_pool_sessions{_of('free')})")
    ).with_panel(
        number(
            "Runners wanted", "That there should be.", f"sum(paddock_pool_desired_runners{POOL})"
        )
    ).with_panel(
        number("Runners ready", "That take sessions.", f"sum(paddock_pool_runners{_of('ready')})")
    ).with_panel(
        number(
            "Calls lost",
            "Within the time shown.",
            f"round(sum(increase(paddock_pool_sessions_lost_total{POOL}[$__range])))",
            bad_from=0.5,
        )
    ).with_panel(
        number(
            "Age of statistics",
            "A pool at rest looks every 15 s. Without fresh ones nothing shrinks.",
            f"max(paddock_pool_stats_age_seconds{POOL})",
            unit="s",
            bad_from=45,
        )
    ).with_panel(
        number(
            "Sized by the fallback",
            "For want of statistics.",
            f"max(paddock_pool_fallback_active{POOL})",
            unit="bool_yes_no",
            bad_from=1,
        )
    )


def _sessions(made: grafana.Dashboard) -> None:
    made.with_row(grafana.Row("Sessions")).with_panel(
        lines(
            "Sessions and capacity",
            "Capacity: slots of runners that take sessions.",
            Series(f"sum(paddock_pool_sessions{_of('in_flight')})", "in flight"),
            Series(f"sum(paddock_pool_sessions{_of('queued')})", "queued"),
            Series(CAPACITY, "capacity"),
            width=12,
            known=("in flight", "queued", "capacity"),
        )
    ).with_panel(
        lines(
            "Wait for capacity",
            "From a first waiting start until none waits.",
            *quantiles("paddock_pool_capacity_wait_seconds", POOL, of=(50, 95)),
            unit="s",
            width=6,
        )
    ).with_panel(
        lines(
            "Calls lost",
            "Sessions last seen on runners that ended, in each step.",
            Series(
                f"sum by (cause) (increase(paddock_pool_sessions_lost_total{POOL}[$__rate_interval]))",
                "{{cause}}",
            ),
            width=6,
            stacked=True,
        )
    )


def _runners(made: grafana.Dashboard) -> None:
    made.with_row(grafana.Row("Runners")).with_panel(
        lines(
            "Runners, desired against actual",
            "By state; the desired and the largest number dashed.",
            Series(f"sum by (state) (paddock_pool_runners{POOL})", "{{state}}"),
            Series(f"sum(paddock_pool_desired_runners{POOL})", "desired"),
            Series(f"sum(paddock_pool_max_runners{POOL})", "at most"),
            width=12,
            stacked=True,
            over=("desired", "at most"),
            known=RUNNER_STATES,
        )
    ).with_panel(
        lines(
            "Decisions",
            "Changes of the desired number in each step, by what made them.",
            Series(
                f"sum by (direction, reason) (increase(paddock_pool_scale_decisions_total{POOL}[$__rate_interval]))",
                "{{direction}}, by {{reason}}",
            ),
            width=6,
            stacked=True,
        )
    ).with_panel(
        lines(
            "Runner-hours",
            "What the pool costs, within the time shown.",
            Series(
                f"sum by (state) (increase(paddock_pool_runner_seconds_total{POOL}[$__range])) / 3600",
                "{{state}}",
            ),
            unit="h",
            width=6,
            stacked=True,
        )
    ).with_panel(
        lines(
            "Time to start",
            "From a runner's creation until it is ready, or has its first session.",
            *quantiles("paddock_pool_runner_start_seconds", POOL, "until", of=(50, 95)),
            unit="s",
            width=12,
        )
    ).with_panel(
        lines(
            "Starts that failed",
            "In each step, by reason.",
            Series(
                f"sum by (reason) (increase(paddock_pool_start_failures_total{POOL}[$__rate_interval]))",
                "{{reason}}",
            ),
            width=12,
            stacked=True,
        )
    )


def _drains(made: grafana.Dashboard) -> None:
    made.with_row(grafana.Row("Drains and roll-outs")).with_panel(
        lines(
            "Drains that ended",
            "In each step, by reason and outcome.",
            Series(
                f"sum by (reason, outcome) (increase(paddock_pool_drains_total{POOL}[$__rate_interval])) > 0",
                "{{reason}}, {{outcome}}",
            ),
            width=6,
            stacked=True,
        )
    ).with_panel(
        lines(
            "Time to drain",
            "From the decision to the end.",
            *quantiles("paddock_pool_drain_seconds", POOL, "reason", of=(50, 95)),
            unit="s",
            width=6,
        )
    ).with_panel(
        lines(
            "Drains under way",
            "Sessions on draining runners, the step of the roll-out, and ends called off in each step.",
            Series(f"sum(paddock_pool_sessions{_of('draining')})", "their sessions"),
            Series(f"max(paddock_pool_rollout_step{POOL})", "roll-out"),
            Series(
                f"sum(increase(paddock_pool_delete_conflicts_total{POOL}[$__rate_interval]))",
                "ends called off",
            ),
            width=6,
        )
    ).with_panel(
        lines(
            "Time to the first deadline",
            "Of a drain whose runner holds sessions. At 0 they are ended.",
            Series(f"min(paddock_pool_drain_deadline_seconds{POOL})", "first deadline"),
            unit="s",
            width=6,
        )
    )


def _inside(made: grafana.Dashboard) -> None:
    made.with_row(grafana.Row("As the runners see it")).with_panel(
        lines(
            "Calls and slots",
            "Summed over the runners that are scraped.",
            Series(f"sum(paddock_runner_in_flight{POOL})", "in flight"),
            Series(f"max(paddock_runner_queued{POOL})", "queued"),
            Series(f"sum(paddock_runner_capacity{POOL})", "capacity"),
            Series(f"sum(paddock_runner_connected{POOL})", "runners connected"),
            Series(f"sum(paddock_runner_draining{POOL})", "runners draining"),
            known=("in flight", "queued", "capacity"),
        )
    ).with_panel(
        lines(
            "Time to answer",
            "From what a caller said to the first chunk of the answer.",
            *quantiles("paddock_runner_reply_seconds", POOL, of=(50, 95)),
            unit="s",
        )
    ).with_panel(
        lines(
            "Calls that ended",
            "Per second, by reason.",
            Series(
                f"sum by (reason) (rate(paddock_runner_sessions_ended_total{POOL}[$__rate_interval])) > 0",
                "{{reason}}",
            ),
            unit="ops",
            stacked=True,
            known=("completed",),
        )
    ).with_panel(
        number(
            "Completed, last hour",
            "At all runners that are scraped.",
            f"sum(paddock_runner_sessions_last_hour{_ended('completed')})",
            width=8,
        )
    ).with_panel(
        number(
            "Failed, last hour",
            "At all runners that are scraped.",
            f"sum(paddock_runner_sessions_last_hour{_ended('failed')})",
            width=8,
        )
    ).with_panel(
        number(
            "Mean length",
            "Of the last hour's calls.",
            f"avg(paddock_runner_session_mean_seconds{POOL} > 0)",
            unit="s",
            width=8,
        )
    )
