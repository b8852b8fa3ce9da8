"""Many rows of the hot statements in few steps.

SQLite's driver gives up the interpreter for each row that it runs, and gets it back when the loop
lets go of it: beside a busy loop that is most of what a row costs. So rows are put together in
statements of `WIDTH` rows each.
"""

import sqlite3
from collections.abc import Sequence
from itertools import chain

from paddock_orchestrator.store.lots import lots
from paddock_orchestrator.store.statements import (
    CHANGE_SESSION,
    CHANGING,
    HOT,
    Row,
    around_values,
)

WIDTH = 64


def _widened(statement: str) -> str:
    """The statement for the parameters of `WIDTH` rows, one after the other.

    Changes are of as many sessions.
    """
    if statement is CHANGE_SESSION:
        marks = _rows_of(len(CHANGING) + 1)
        changes = ", ".join(f"{name}=new.column{n}" for n, name in enumerate(CHANGING, 1))
        return (
            f"UPDATE sessions SET {changes} FROM (VALUES {marks}) AS new"
            f" WHERE sessions.session_id=new.column{len(CHANGING) + 1}"
        )
    head, tail = around_values(statement)
    return f"{head}VALUES {_rows_of(statement.count('?'))}{tail}"


def _rows_of(columns: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return ", ".join([row] * WIDTH)


_WIDE = {statement: _widened(statement) for statement in HOT}


def apply_together(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Run `rows`, all of hot statements, to the effect of running them in order."""
    for lot in lots(rows):
        for statement, parameters in lot.items():
            whole = len(parameters) // WIDTH * WIDTH
            for at in range(0, whole, WIDTH):
                flat = list(chain.from_iterable(parameters[at : at + WIDTH]))
                connection.execute(_WIDE[statement], flat)
            if whole < len(parameters):
                connection.executemany(statement, parameters[whole:])
