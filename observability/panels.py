"""The few kinds of panel that the dashboards are made of, over Grafana's own builders."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from grafana_foundation_sdk.builders import common as shared
from grafana_foundation_sdk.builders import dashboard as grafana
from grafana_foundation_sdk.builders import stat, table, timeseries
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery as Dataqueries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH: Final = 24
"""Of a dashboard, in Grafana's grid."""
COLORS: Final = {
    "ready": "green", "serving": "green", "starting": "blue", "draining": "orange",
    "unknown": "red", "gone": "red", "in flight": "blue", "queued": "orange", "capacity": "green",
    "answered": "green", "refused": "orange", "rejected": "red", "completed": "green",
    "runner_lost": "red",
}  # fmt: skip
"""Of series that mean the same wherever they are drawn."""

Unit = Literal["short", "s", "percentunit", "ops", "h", "bool_yes_no"]
Panel = Builder[dashboard.Panel]


@dataclass(frozen=True, slots=True)
class Series:
    """What one query draws."""

    expr: str
    legend: str = ""


def lines(
    title: str,
    about: str,
    *series: Series,
    unit: Unit = "short",
    width: int = 8,
    stacked: bool = False,
    over: Sequence[str] = (),
    known: Sequence[str] = (),
) -> Panel:
    """Time series. `over`: legends that stay lines, dashed, over the stacked areas; `known`: those
    with colors of their own."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .span(width)
        .height(8)
        .show_points(common.VisibilityMode.NEVER)
        .line_width(1 if stacked else 2)
        .fill_opacity(60 if stacked else 8)
        .legend(
            shared.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(
            shared.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
    )
    if stacked:
        panel.stacking(shared.StackingConfig().mode(common.StackingMode.NORMAL))
    for legend in over:
        panel.override_by_name(
            legend,
            [
                dashboard.DynamicConfigValue("custom.stacking", {"mode": "none"}),
                dashboard.DynamicConfigValue("custom.fillOpacity", 0),
                dashboard.DynamicConfigValue("custom.lineWidth", 2),
                dashboard.DynamicConfigValue("custom.lineStyle", {"fill": "dash"}),
            ],
        )
    for legend in known:
        color = {"mode": "fixed", "fixedColor": COLORS[legend]}
        panel.override_by_name(legend, [dashboard.DynamicConfigValue("color", color)])
    return panel.targets(list(_queries(series)))


def number(
    title: str,
    about: str,
    expr: str,
    *,
    unit: Unit = "short",
    bad_from: float | None = None,
    width: int = 3,
) -> Panel:
    """The newest value; red from `bad_from` on."""
    steps = [dashboard.Threshold(None, "green")]
    if bad_from is not None:
        steps.append(dashboard.Threshold(bad_from, "red"))
    return (
        stat.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .unit(unit)
        .span(width)
        .height(4)
        .color_mode(
            common.BigValueColorMode.NONE
            if bad_from is None
            else common.BigValueColorMode.BACKGROUND
        )
        .graph_mode(common.BigValueGraphMode.NONE)
        .thresholds(grafana.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps))
        .with_target(_query(0, Series(expr)).instant())
    )


def rows_of(title: str, about: str, by: Sequence[str], *columns: Series) -> Panel:
    """A table with a line for each group `by`, and a column for each query."""
    names = {f"Value #{chr(65 + at)}": one.legend for at, one in enumerate(columns)}
    queries: list[Builder[Dataqueries]] = [
        _query(at, one).instant().format(PromQueryFormat.TABLE) for at, one in enumerate(columns)
    ]
    order = {name: at for at, name in enumerate((*by, *names))}
    return (
        table.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .span(WIDTH)
        .height(9)
        .targets(queries)
        .with_transformation(dashboard.DataTransformerConfig("merge", options={}))
        .with_transformation(
            dashboard.DataTransformerConfig(
                "organize",
                options={
                    "excludeByName": {"Time": True},
                    "indexByName": order,
                    "renameByName": names,
                },
            )
        )
    )


def quantiles(metric: str, selector: str, by: str = "", *, of: Sequence[int]) -> tuple[Series, ...]:
    """The quantiles (percent) of a histogram, for each value of the label `by`."""
    labels = f"le, {by}" if by else "le"
    suffix = f" {{{{{by}}}}}" if by else ""
    return tuple(
        Series(
            f"histogram_quantile({q / 100:g}, "
            f"sum by ({labels}) (rate({metric}_bucket{selector}[$__rate_interval])))",
            f"p{q}{suffix}",
        )
        for q in of
    )


def _queries(series: Sequence[Series]) -> Iterator[Dataquery]:
    for at, one in enumerate(series):
        yield _query(at, one).range()


def _query(at: int, one: Series) -> Dataquery:
    return (
        Dataquery().ref_id(chr(65 + at)).expr(one.expr).legend_format(one.legend).datasource(SOURCE)
    )
