"""The schema's history against the schema, in SQLite."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from paddock_orchestrator.store.errors import SchemaTooNew, StoreMisconfigured, StoreUnavailable
from paddock_orchestrator.store.migrations import head_revision
from paddock_orchestrator.store.schema import metadata
from paddock_orchestrator.store.sqlite.database import migrate
from paddock_orchestrator.store.store import Store


def statements_of(path: Path) -> dict[str, str]:
    """Every table's and index's own CREATE statement, with white space evened out."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        return {name: " ".join(sql.split()) for name, sql in rows if name != "alembic_version"}


def test_migrations_make_exactly_the_schema(tmp_path: Path) -> None:
    migrate(tmp_path / "migrated.db")
    engine = create_engine(f"sqlite:///{tmp_path}/created.db")
    metadata.create_all(engine)
    engine.dispose()
    created = statements_of(tmp_path / "created.db")
    assert created
    assert created == statements_of(tmp_path / "migrated.db")


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "100%" / "records.db"
    path.parent.mkdir()
    migrate(path)
    before = statements_of(path)
    migrate(path)
    assert before == statements_of(path)


async def test_a_newer_database_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    migrate(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num='9999'")
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew, match=f"9999.*expected: {head_revision()}.*fix:"):
        await Store.open(f"sqlite:///{path}")
    assert before == path.read_bytes()


def test_a_failing_migration_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE events (x)")
    before = statements_of(path)
    with pytest.raises(StoreMisconfigured, match="already exists"):
        migrate(path)
    assert before == statements_of(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    path.write_text("notes, " * 500)
    with pytest.raises(StoreMisconfigured, match="not a database"):
        migrate(path)


def test_a_locked_database_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable, match="locked"):
            migrate(path, busy_timeout_s=0.05)
