"""Draws the dashboards as pictures for the documents, from what a Prometheus holds.

It needs matplotlib, which is no dependency: `.venv/bin/pip install matplotlib`. Then, beside a
Prometheus that scraped something worth a look,

    .venv/bin/python -m observability.draw http://127.0.0.1:9090 --last 120 pool fleet orchestrator

writes docs/images/NAME.png. Choose with --set, as in `--set pool=demo --set namespace=local`.
"""

import argparse
import io
import json
import math
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import matplotlib as mpl  # type: ignore[import-not-found]
from matplotlib import pyplot as plt
from PIL import Image  # type: ignore[import-not-found]

from observability.dashboards import DASHBOARDS, FOLDER

IMAGES = FOLDER.parents[2] / "docs" / "images"
CELL_X, CELL_Y, DPI = 0.6, 0.34, 100
"""Inches of a cell of Grafana's grid; a dashboard is 24 wide."""
INK, FAINT, PAPER, CARD = "#22262b", "#8a919b", "#eef0f3", "#ffffff"
NAMED = {"green": "#56a64b", "blue": "#3274d9", "orange": "#ff780a", "red": "#e02f44"}
COLORS = (
    "#3274d9", "#56a64b", "#ff780a", "#e02f44", "#a352cc", "#1ca3a3", "#f2cc0c", "#8f3bb8",
    "#705da0", "#7a6a53",
)  # fmt: skip
STEPS = 240


@dataclass(frozen=True)
class Look:
    """What is looked at, and when: wall clock, seconds."""

    prometheus: str
    since: float
    until: float
    chosen: dict[str, str]

    @property
    def step_s(self) -> float:
        return max(1.0, (self.until - self.since) / STEPS)

    def filled(self, text: str) -> str:
        """With the dashboard's variables in it."""
        given = {
            "__rate_interval": "15s",
            "__range": f"{self.until - self.since:.0f}s",
            **self.chosen,
        }
        return re.sub(r"\$(\w+)", lambda found: given.get(found[1], ".*"), text)

    def curves(self, expression: str) -> list[dict[str, Any]]:
        return self._ask(
            "query_range", query=self.filled(expression),
            start=self.since, end=self.until, step=self.step_s,
        )  # fmt: skip

    def now(self, expression: str) -> list[dict[str, Any]]:
        return self._ask("query", query=self.filled(expression), time=self.until)

    def _ask(self, path: str, **parameters: Any) -> list[dict[str, Any]]:
        answer = httpx.get(
            f"{self.prometheus}/api/v1/{path}", params=parameters, timeout=30, trust_env=False
        ).json()
        if answer["status"] != "success":
            raise SystemExit(f"{parameters['query']}: {answer.get('error')}")
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found


def draw(name: str, look: Look) -> Path:
    """One dashboard."""
    dashboard = json.loads((FOLDER / f"{name}.json").read_text())
    panels = dashboard["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    width, height = 24 * CELL_X, (rows + 1.6) * CELL_Y
    figure = plt.figure(figsize=(width, height), facecolor=PAPER)
    figure.text(
        0.2 / 24, 1 - 0.85 / (rows + 1.6), dashboard["title"], size=14, weight="bold", color=INK,
        va="center",
    )  # fmt: skip
    notes = _notes(dashboard, look)
    for panel in panels:
        _panel(figure, panel, rows + 1.6, look, notes)
    path = IMAGES / f"{name}.png"
    _save(figure, path)
    return path


def _save(figure: Any, path: Path) -> None:
    """With few colours, so that it is small."""
    page = io.BytesIO()
    figure.savefig(page, dpi=DPI, facecolor=PAPER)
    plt.close(figure)
    image = Image.open(page).convert("RGB")
    image.quantize(160, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        path, optimize=True
    )


def _panel(figure: Any, panel: dict[str, Any], rows: float, look: Look, notes: list[float]) -> None:
    place = panel["gridPos"]
    left, top = place["x"] / 24, 1 - (place["y"] + 1.6) / rows
    wide, high = place["w"] / 24, place["h"] / rows
    if panel["type"] == "row":
        figure.text(
            left + 0.2 / 24, top - high / 2, panel["title"], size=11, weight="bold", color=INK,
            va="center",
        )  # fmt: skip
        return
    gap_x, gap_y = 0.1 / 24, 0.1 / rows
    card = plt.Rectangle(
        (left + gap_x, top - high + gap_y), wide - 2 * gap_x, high - 2 * gap_y,
        transform=figure.transFigure, facecolor=CARD, edgecolor="#dfe2e7", linewidth=0.8, zorder=-1,
    )  # fmt: skip
    figure.patches.append(card)
    figure.text(
        left + 0.35 / 24, top - 0.7 / rows, panel["title"], size=8.5, weight="bold", color=INK,
        va="center",
    )  # fmt: skip
    if panel["type"] == "stat":
        _number(figure, panel, left + wide / 2, top - high * 0.62, look)
    elif panel["type"] == "table":
        _table(figure, panel, (left, top, wide, high), rows, look)
    else:
        box = (
            left + 1.0 / 24, top - high + 1.75 / rows, wide - 1.4 / 24, high - 3.0 / rows,
        )  # fmt: skip
        _lines(figure.add_axes(box), panel, look, notes)


def _number(figure: Any, panel: dict[str, Any], x: float, y: float, look: Look) -> None:
    found = look.now(panel["targets"][0]["expr"])
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    value = float(found[0]["value"][1]) if found else math.nan
    color = INK
    for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1:]:
        color = "#e02f44" if value >= step["value"] else "#56a64b"
    figure.text(x, y, _said(value, unit), size=18, color=color, ha="center", va="center")


def _table(
    figure: Any, panel: dict[str, Any], box: tuple[float, ...], rows: float, look: Look
) -> None:
    left, top, wide, _ = box
    names = [target["legendFormat"] for target in panel["targets"]]
    lines: dict[tuple[str, str], dict[str, float]] = {}
    for target in panel["targets"]:
        for one in look.now(target["expr"]):
            key = one["metric"]["namespace"], one["metric"]["pool"]
            lines.setdefault(key, {})[target["legendFormat"]] = float(one["value"][1])
    heads = ["namespace", "pool", *names]
    for at, head in enumerate(heads):
        x = left + wide * (at + 0.15) / len(heads)
        figure.text(x, top - 2.0 / rows, head, size=8, color=FAINT, va="center")
        for number, (key, values) in enumerate(sorted(lines.items())):
            text = key[at] if at < 2 else _said(values.get(head, math.nan), "short")
            y = top - (3.3 + number * 1.2) / rows
            figure.text(x, y, text, size=9, color=INK, va="center")


def _lines(axes: Any, panel: dict[str, Any], look: Look, notes: Sequence[float]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    unit = defaults.get("unit", "short")
    stacked = defaults["custom"].get("stacking", {}).get("mode") == "normal"
    over, given = _overrides(panel)
    drawn = [one for one in _curves(panel, look) if not stacked or any(v > 0 for v in one[2])]
    areas = [one for one in drawn if stacked and one[0] not in over]
    plain = [one for one in drawn if not (stacked and one[0] not in over)]
    color = {
        label: given.get(label, COLORS[at % len(COLORS)]) for at, (label, *_) in enumerate(drawn)
    }
    if areas:
        times = areas[0][1]
        heights = [[0.0 if math.isnan(v) else v for v in values] for _, _, values in areas]
        axes.stackplot(
            times, *heights, labels=[label for label, *_ in areas], alpha=0.65, linewidth=0,
            colors=[color[label] for label, *_ in areas],
        )  # fmt: skip
    for label, times, values in plain:
        dash = "--" if label in over else "-"
        axes.plot(times, values, dash, label=label, color=color[label], linewidth=1.3)
    for at in notes:
        axes.axvline(at, color="#3274d9", linewidth=0.5, alpha=0.35)
    _axes(axes, unit, look)
    if drawn:
        axes.legend(
            loc="upper left", bbox_to_anchor=(-0.02, -0.12), frameon=False, fontsize=6.5,
            ncol=max(2, round(panel["gridPos"]["w"] / 2.2)),
            labelcolor=INK, handlelength=1.0, columnspacing=1.0, borderaxespad=0.2,
        )  # fmt: skip
    else:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, color=FAINT, size=8, ha="center")


def _overrides(panel: dict[str, Any]) -> tuple[set[str], dict[str, str]]:
    """Legends that are drawn over the areas, and colors of others."""
    over, colors = set(), {}
    for one in panel["fieldConfig"].get("overrides") or []:
        legend = one["matcher"]["options"]
        for change in one["properties"]:
            if change["id"] == "color":
                colors[legend.replace("_", " ")] = NAMED[change["value"]["fixedColor"]]
            elif change["id"] == "custom.stacking":
                over.add(legend)
    return over, colors


def _axes(axes: Any, unit: str, look: Look) -> None:
    axes.set_xlim(look.since, look.until)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.08)
    if axes.get_ylim()[1] < 0.06 and unit == "short":
        axes.set_ylim(0, 1)
    axes.yaxis.set_major_locator(mpl.ticker.MaxNLocator(4, integer=unit == "short"))
    axes.yaxis.set_major_formatter(lambda value, _: _said(value, unit))
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(4))
    axes.xaxis.set_major_formatter(lambda at, _: datetime.fromtimestamp(at).strftime("%H:%M:%S"))  # noqa: DTZ006
    axes.tick_params(labelsize=6.5, colors=FAINT, length=0, pad=3)
    axes.grid(axis="y", color="#e6e8ec", linewidth=0.7)
    axes.set_facecolor("none")
    for side in axes.spines.values():
        side.set_visible(False)


def _curves(panel: dict[str, Any], look: Look) -> Iterator[tuple[str, list[float], list[float]]]:
    """Legend, times and values, on one grid; NaN where there is nothing."""
    count = int((look.until - look.since) / look.step_s) + 1
    times = [look.since + at * look.step_s for at in range(count)]
    for target in panel["targets"]:
        for one in look.curves(target["expr"]):
            values = [math.nan] * count
            for at, text in one["values"]:
                values[min(count - 1, round((at - look.since) / look.step_s))] = float(text)
            if any(not math.isnan(value) for value in values):
                yield _legend(target["legendFormat"], one["metric"]), times, values


def _legend(template: str, labels: dict[str, str]) -> str:
    said = re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), template)
    return said.replace("_", " ")


def _notes(dashboard: dict[str, Any], look: Look) -> list[float]:
    """When the annotations stand: where one begins."""
    begins = []
    for note in (dashboard.get("annotations") or {}).get("list", []):
        for one in look.curves(note["expr"]):
            before = 0.0
            for at, _ in one["values"]:
                if at - before > 2 * look.step_s:
                    begins.append(at)
                before = at
    return begins


def _said(value: float, unit: str) -> str:
    if math.isnan(value):
        return "–"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "bool_yes_no":
        return "yes" if value else "no"
    if unit == "s":
        return f"{value * 1000:.3g} ms" if 0 < abs(value) < 1 else f"{value:.3g} s"
    if unit == "h":
        return f"{value:.2g} h"
    return f"{value:.3g}/s" if unit == "ops" else f"{value:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="observability.draw", description=__doc__)
    parser.add_argument("prometheus", help="its address")
    parser.add_argument("names", nargs="+", choices=list(DASHBOARDS))
    parser.add_argument("--last", type=float, default=120.0, help="seconds")
    parser.add_argument("--until", type=float, default=None, help="Unix time; now without")
    parser.add_argument("--set", action="append", default=[], help="VARIABLE=VALUE")
    options = parser.parse_args()
    until = options.until or time.time()
    chosen = dict(one.split("=", 1) for one in options.set)
    IMAGES.mkdir(exist_ok=True)
    for name in options.names:
        path = draw(name, Look(options.prometheus, until - options.last, until, chosen))
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")  # noqa: T201


if __name__ == "__main__":
    main()
