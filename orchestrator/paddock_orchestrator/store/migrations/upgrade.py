"""Bring a database to this version's schema."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from paddock_orchestrator.store.errors import SchemaTooNew


def head_revision() -> str:
    """The revision that this version of the code reads and writes."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None, "the package ships at least one migration"
    return head


def upgrade(connection: Connection, database: str) -> None:
    """Upgrade to the head revision inside the transaction that is open.

    Raises `SchemaTooNew`, naming the `database`, for one that a newer version wrote.
    """
    config = _config()
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    current = MigrationContext.configure(connection).get_current_revision()
    if current == scripts.get_current_head():
        return
    if current is not None and current not in known:
        raise SchemaTooNew(
            f"{database} has schema {current}",
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
