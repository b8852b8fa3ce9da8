"""The chart's dashboards: `python -m observability.dashboards` writes them anew."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from observability.cluster import operator
from observability.fleet import fleet
from observability.orchestrator import orchestrator
from observability.pool import pool

FOLDER: Final = Path(__file__).parents[1] / "charts" / "paddock" / "dashboards"
DASHBOARDS: Final[dict[str, Callable[[], Dashboard]]] = {
    "pool": pool, "fleet": fleet, "orchestrator": orchestrator, "operator": operator,
}  # fmt: skip


def text_of(name: str) -> str:
    """The dashboard as Grafana reads it. Panels are numbered in their order."""
    made = DASHBOARDS[name]().build()
    for number, panel in enumerate(made.panels or (), 1):
        panel.id_val = number
    return json.dumps(made, cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(text_of(name))
