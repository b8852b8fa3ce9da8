"""Bring a database to this version's schema."""

import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from paddock_orchestrator.store.errors import SchemaTooNew, StoreMisconfigured
from paddock_orchestrator.store.failures import (
    environment_failure,
    is_environment,
    is_no_database,
)
from paddock_orchestrator.store.location import database_path


def head_revision() -> str:
    """The revision that this version of the code reads and writes."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None, "the package ships at least one migration"
    return head


def migrate(url: str, *, busy_timeout_s: float = 5.0) -> None:
    """Upgrade the database at `url` to the head revision, all of it or nothing.

    Raises `SchemaTooNew` for a database that a newer version wrote, `StoreUnavailable` while
    another process locks it, `StoreMisconfigured` for a file that is no database.
    """
    path = database_path(url)
    engine = create_engine(
        f"sqlite:///{path}", poolclass=NullPool, connect_args={"timeout": busy_timeout_s}
    )
    event.listen(engine, "connect", _begin_by_hand)
    event.listen(engine, "begin", _begin_immediate)
    try:
        with engine.begin() as connection:
            _upgrade(connection, path)
    except DBAPIError as error:
        cause = error.orig
        if cause is not None and is_environment(cause) and not is_no_database(cause):
            raise environment_failure(cause) from error
        raise StoreMisconfigured(
            f"{path} cannot be migrated: {cause}",
            expected="a database of this product, or no file",
            fix="name another file, or move this one away",
        ) from error
    finally:
        engine.dispose()


def _upgrade(connection: Connection, path: Path) -> None:
    config = _config()
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    current = MigrationContext.configure(connection).get_current_revision()
    if current == scripts.get_current_head():
        return
    if current is not None and current not in known:
        raise SchemaTooNew(
            f"{path} has schema {current}",
            expected=f"{scripts.get_current_head()} or older",
            fix="run the version that wrote it, or restore a backup made before the upgrade",
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    # A percent sign in the path would be read as an interpolation.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def _begin_by_hand(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """Stop the driver from committing before each CREATE: a killed migration leaves no half."""
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
