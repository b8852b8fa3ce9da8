"""Figures beside their references and targets, and the table of them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Row:
    """One figure beside its reference. `met` is None for a figure that is only reported."""

    figure: str
    value: float
    unit: str
    reference: float | None = None
    ratio: float | None = None
    target: str = ""
    met: bool | None = None
    note: str = ""


def compare(
    figure: str,
    unit: str,
    values: Sequence[float],
    references: Sequence[float],
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    note: str = "",
) -> Row:
    """A row whose target is a multiple of its reference: medians, and the median of the ratios
    of values and references that were measured one after the other."""
    if not values:
        return Row(figure, float("nan"), unit, note="not counted: the load generator was busy")
    ratio = median([v / max(r, 1e-9) for v, r in zip(values, references, strict=True)])
    row = Row(figure, median(values), unit, median(references), ratio, note=note)
    if at_most is not None:
        row.target, row.met = f"<= {at_most:g}x", ratio <= at_most
    if at_least is not None:
        row.target, row.met = f">= {at_least:g}x", ratio >= at_least
    return row


def limited(
    figure: str,
    value: float,
    unit: str,
    limit: float,
    *,
    reference: float | None = None,
    note: str = "",
) -> Row:
    """A row whose target is an absolute limit; the reference tells how fast the machine is."""
    ratio = value / reference if reference else None
    return Row(
        figure, value, unit, reference, ratio, f"<= {limit:g} {unit}", value <= limit, note=note
    )


def table(rows: Sequence[Row]) -> str:
    """All rows in columns."""
    lines = [("figure", "value", "reference", "ratio", "target", "met", "note")]
    for row in rows:
        met = "" if row.met is None else "yes" if row.met else "NO"
        reference = "" if row.reference is None else _short(row.reference)
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        value = f"{_short(row.value)} {row.unit}"
        lines.append((row.figure, value, reference, ratio, row.target, met, row.note))
    widths = [max(len(line[i]) for line in lines) for i in range(7)]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _short(value: float) -> str:
    return f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
