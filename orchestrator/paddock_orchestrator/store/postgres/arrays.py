"""Many rows of a hot statement in one: each column's values travel as one array.

PostgreSQL's binary arrays are written here, because the driver writes one value at a time and takes
the array's type from its values: NULLs alone would have none.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any

from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy import BigInteger, Double, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects import postgresql

from paddock_orchestrator.store.lots import lots
from paddock_orchestrator.store.postgres.connecting import Connection, without_nul
from paddock_orchestrator.store.records import EventRow, SessionRow
from paddock_orchestrator.store.schema import events, sessions
from paddock_orchestrator.store.statements import (
    ADD_EVENT,
    CHANGE_SESSION,
    CHANGING,
    PUT_SESSION,
    START_SESSION,
    STARTING,
    Row,
    around_values,
)

Step = tuple[str, list["_Array"]]
"""A statement and its arrays."""
_Pack = Callable[[Any], bytes]

_length = struct.Struct("!i").pack
_header = struct.Struct("!iiIii").pack
_int4 = struct.Struct("!ii").pack
_int8 = struct.Struct("!iq").pack
_float8 = struct.Struct("!id").pack
_NULL = _length(-1)


def _text(value: str) -> bytes:
    data = without_nul(value).encode()
    return _length(len(data)) + data


def _bytes(value: bytes | bytearray) -> bytes:
    return _length(len(value)) + value


class _Array(bytes):
    """An array as it is sent. One subclass for each type of its elements."""

    element = 0
    pack: _Pack

    @classmethod
    def of(cls, values: Sequence[Any]) -> "_Array":
        pack = cls.pack
        items = [_NULL if value is None else pack(value) for value in values]
        return cls(_header(1, 1, cls.element, len(items), 1) + b"".join(items))


class _Texts(_Array):
    element = 25
    pack = staticmethod(_text)


class _Blobs(_Array):
    element = 17
    pack = staticmethod(_bytes)


class _Int4s(_Array):
    element = 23
    pack = staticmethod(lambda value: _int4(4, value))


class _Int8s(_Array):
    element = 20
    pack = staticmethod(lambda value: _int8(8, value))


class _Doubles(_Array):
    element = 701
    pack = staticmethod(lambda value: _float8(8, value))


_ARRAYS: dict[type, tuple[type[_Array], int]] = {
    Text: (_Texts, 1009),
    LargeBinary: (_Blobs, 1001),
    Integer: (_Int4s, 1007),
    BigInteger: (_Int8s, 1016),
    Double: (_Doubles, 1022),
}
"""The array of a column's type, and the number by which the server knows it."""


class _AsItIs(Dumper):
    format = Format.BINARY

    def dump(self, obj: bytes) -> Buffer | None:
        return obj


def register_arrays(connection: Connection) -> None:
    """Let the connection send them."""
    for array, oid in _ARRAYS.values():
        dumper = type(f"_{array.__name__}Dumper", (_AsItIs,), {"oid": oid})
        connection.adapters.register_dumper(array, dumper)


def steps(rows: Sequence[Row]) -> list[Step]:
    """What to run, in order, to the effect of running `rows` in order.

    Running it again changes nothing. Raises for a value that cannot be sent.
    """
    found = []
    for lot in lots(rows):
        for statement, values in lot.items():
            if values:
                sql, arrays = _ARRAYED[statement]
                if statement in (START_SESSION, PUT_SESSION):
                    # One statement may not touch a row twice; the last word counts.
                    values = list({row[0]: row for row in values}.values())
                columns = zip(*values, strict=True)
                found.append((sql, [a.of(c) for a, c in zip(arrays, columns, strict=True)]))
    return found


def _arrayed(statement: str, table: Table, names: Sequence[str]) -> tuple[str, list[type[_Array]]]:
    types = [table.columns[name].type for name in names]
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    casts = ", ".join(f"%b::{type_.compile(dialect)}[]" for type_ in types)
    if statement is CHANGE_SESSION:
        changes = ", ".join(f"{name}=new.{name}" for name in CHANGING)
        sql = (
            f"UPDATE sessions SET {changes} FROM unnest({casts}) AS new({', '.join(names)})"
            " WHERE sessions.session_id=new.session_id"
        )
    else:
        head, tail = around_values(statement)
        sql = f"{head}SELECT * FROM unnest({casts}){tail}"
    if statement is ADD_EVENT:
        sql += " ON CONFLICT (event_id) DO NOTHING"
    return sql, [_ARRAYS[_kind(type_)][0] for type_ in types]


def _kind(type_: object) -> type:
    return next(
        kind for kind in (BigInteger, Double, LargeBinary, Text, Integer) if isinstance(type_, kind)
    )


_ARRAYED = {
    START_SESSION: _arrayed(START_SESSION, sessions, STARTING),
    PUT_SESSION: _arrayed(PUT_SESSION, sessions, SessionRow.__struct_fields__),
    CHANGE_SESSION: _arrayed(CHANGE_SESSION, sessions, (*CHANGING, "session_id")),
    ADD_EVENT: _arrayed(ADD_EVENT, events, EventRow.__struct_fields__),
}
