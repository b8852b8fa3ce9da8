"""Opening and upgrading a PostgreSQL database."""

import asyncio
import logging
from typing import Any, cast

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from paddock_orchestrator.store.errors import StoreMisconfigured, StoreTaken, StoreUnavailable
from paddock_orchestrator.store.migrations import upgrade
from paddock_orchestrator.store.postgres.address import Address, read_address
from paddock_orchestrator.store.postgres.connecting import Connection, answered_within, connect
from paddock_orchestrator.store.postgres.failures import opening_failure
from paddock_orchestrator.store.postgres.reader import DRIVER, Reader
from paddock_orchestrator.store.postgres.tenure import Tenure
from paddock_orchestrator.store.postgres.writer import Writer
from paddock_orchestrator.store.sides import PROBE_S

_UPGRADE_S = 600.0
"""How long the server may take for one step of a schema's upgrade."""

_log = logging.getLogger(__name__)


async def open_database(
    url: str, timeout_s: float, wait_s: float, max_queue: int
) -> tuple[Writer, Reader]:
    """Take the database for this process, and upgrade it.

    What is kept is durable as PostgreSQL's commits are. Waits up to `wait_s` for a server that does
    not answer, and for another orchestrator to end.
    """
    address = read_address(url, timeout_s=timeout_s)
    tenure = Tenure(address, timeout_s=timeout_s)
    try:
        await _begin(tenure, wait_s)
        await migrate(address)
        await tenure.own()
    except (psycopg.Error, OSError) as error:
        await tenure.drop()
        raise opening_failure(error, address.name) from error
    except BaseException:
        await tenure.drop()
        raise
    return (
        Writer(tenure, timeout_s=timeout_s, max_queue=max_queue),
        Reader(address, timeout_s=timeout_s),
    )


async def migrate(address: Address) -> None:
    """Upgrade the database to the head revision, all of it or nothing.

    Raises `SchemaTooNew` for a database that a newer version wrote, and `StoreMisconfigured` for
    one in which tables of these names are somebody else's.
    """

    async def creator(*_: Any, **__: Any) -> Connection:
        connection = await connect(address, "paddock-orchestrator upgrading", _UPGRADE_S)
        await connection.set_autocommit(False)
        return connection

    engine = create_async_engine(DRIVER, async_creator=creator, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            raw = await connection.get_raw_connection()
            with answered_within(cast("Connection", raw.driver_connection), _UPGRADE_S):
                await connection.run_sync(upgrade, address.name)
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.errors.DuplicateTable):
            raise StoreMisconfigured(
                f"{address.name} cannot be migrated: {error.orig.diag.message_primary}",
                expected="a database of this product, or an empty one",
                fix="name another database",
            ) from error
        if error.orig is None:
            raise
        raise error.orig from error
    finally:
        await engine.dispose()


async def _begin(tenure: Tenure, wait_s: float) -> None:
    """Connect and take the lock."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    said = ""
    while True:
        try:
            await tenure.connection()
            return
        except StoreTaken as error:
            why: Exception = error
        except (psycopg.Error, OSError) as error:
            why = opening_failure(error, tenure.address.name)
        left_s = deadline - loop.time()
        if left_s <= 0 or not isinstance(why, (StoreTaken, StoreUnavailable)):
            raise why
        if str(why) != said:
            said = str(why)
            _log.warning("waiting_for_database", extra={"up_to_s": round(left_s), "why": said})
        await asyncio.sleep(min(PROBE_S, left_s))
