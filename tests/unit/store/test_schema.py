"""Tables and row types describe the same rows."""

import pytest
from msgspec.structs import fields
from sqlalchemy import Table

from paddock_orchestrator.store import schema, statements
from paddock_orchestrator.store.records import (
    EventRow,
    Key,
    Organization,
    SessionChange,
    SessionRow,
)


@pytest.mark.parametrize(
    ("table", "record"),
    [
        (schema.organizations, Organization),
        (schema.keys, Key),
        (schema.sessions, SessionRow),
        (schema.events, EventRow),
    ],
)
def test_columns_are_the_fields_in_order(table: Table, record: type) -> None:
    assert [field.name for field in fields(record)] == [column.name for column in table.columns]


@pytest.mark.parametrize(
    ("table", "record"),
    [(schema.sessions, SessionRow), (schema.events, EventRow), (schema.keys, Key)],
)
def test_a_field_that_may_be_none_is_a_column_that_may_be_null(table: Table, record: type) -> None:
    optional = {field.name for field in fields(record) if "None" in str(field.type)}
    assert optional == {column.name for column in table.columns if column.nullable}


def test_a_change_names_columns_of_a_session() -> None:
    assert {f.name for f in fields(SessionChange)} < {c.name for c in schema.sessions.columns}


def test_a_change_is_keyed_by_its_last_parameter() -> None:
    change = SessionChange("s1", "ended", 2, "r", "i", ended_ms=5)
    [(sql, values)] = statements.changed(change, ())
    assert sql.endswith("WHERE session_id=?")
    assert values == ("ended", 2, "r", "i", None, None, 5, None, None, None, "s1")
