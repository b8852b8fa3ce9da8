"""What every dashboard has: its variables, its name, its links to the others."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as grafana
from grafana_foundation_sdk.models import dashboard

from observability.panels import SOURCE

TAG: Final = "paddock"


def board(name: str, title: str, about: str) -> grafana.Dashboard:
    """An empty dashboard, with the variable `datasource`."""
    return (
        grafana.Dashboard(f"Paddock / {title}")
        .uid(f"paddock-{name}")
        .description(about)
        .tags([TAG])
        .timezone("browser")
        .time("now-1h", "now")
        .refresh("30s")
        .readonly()
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .link(
            grafana.DashboardLink("Paddock")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .keep_time(True)
            .include_vars(True)
        )
        .with_variable(
            grafana.DatasourceVariable("datasource").label("Data source").type("prometheus")
        )
    )


def choice(name: str, label: str, query: str, *, several: bool = False) -> grafana.QueryVariable:
    """A variable whose values are those of a label; `several`: all of them, or some."""
    variable = (
        grafana.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(query)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
    )
    if several:
        variable.multi(True).include_all(True).all_value(".*")
    return variable
