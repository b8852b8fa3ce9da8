"""Rows of the hot statements, arranged so that many go in few steps."""

from collections.abc import Iterator, Sequence
from typing import Any

from paddock_orchestrator.store.statements import ADD_EVENT, CHANGE_SESSION, HOT, Row

Lot = dict[str, list[tuple[Any, ...]]]
"""For each hot statement, in the order in which they run, the values of its rows."""


def lots(rows: Sequence[Row]) -> Iterator[Lot]:
    """The rows in lots whose statements may run one after the other, each with all its rows.

    Rows depend on each other only by their session: a change follows its start, and what puts the
    row of a session that was changed begins a new lot. Of several changes only the last counts.
    """
    lot: Lot = {statement: [] for statement in HOT}
    changed: dict[str, tuple[Any, ...]] = {}
    for statement, values in rows:
        if statement is CHANGE_SESSION:
            changed[values[-1]] = values
            continue
        if statement is not ADD_EVENT and values[0] in changed:
            lot[CHANGE_SESSION] = list(changed.values())
            yield lot
            lot, changed = {statement: [] for statement in HOT}, {}
        lot[statement].append(values)
    lot[CHANGE_SESSION] = list(changed.values())
    yield lot
