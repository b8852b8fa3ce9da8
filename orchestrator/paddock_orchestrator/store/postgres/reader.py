"""The reading side: a few connections that can only read, used on the loop."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import psycopg
import sqlalchemy
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoneFree
from sqlalchemy.ext.asyncio import create_async_engine

from paddock_orchestrator.store.errors import StoreClosed
from paddock_orchestrator.store.postgres.address import Address
from paddock_orchestrator.store.postgres.connecting import Connection, answered_within, connect
from paddock_orchestrator.store.postgres.failures import environment_failure

T = TypeVar("T")

DRIVER = "postgresql+psycopg://"
_NAME = "paddock-orchestrator reading"
_CONNECTIONS = 4


class Reader:
    """Runs queries beside the writer (`store.sides.Reader`)."""

    def __init__(self, address: Address, *, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._engine = create_async_engine(
            DRIVER,
            async_creator=self._connect,
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=timeout_s,
            isolation_level="REPEATABLE READ",
        )
        self._closed = False

    async def read(self, query: Callable[[sqlalchemy.Connection], T]) -> T:
        if self._closed:
            raise StoreClosed("the store is closed")
        try:
            try:
                return await self._read(query)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                # The server was restarted since that connection was made.
                return await self._read(query)
        except (DBAPIError, NoneFree, OSError, psycopg.Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) else None
            raise environment_failure(cause or error, self._address.name) from error

    async def close(self) -> None:
        self._closed = True
        await self._engine.dispose()

    async def _read(self, query: Callable[[sqlalchemy.Connection], T]) -> T:
        async with self._engine.connect() as connection:
            raw = await connection.get_raw_connection()
            with answered_within(cast("Connection", raw.driver_connection), self._timeout_s):
                return await connection.run_sync(query)

    async def _connect(self, *_: Any, **__: Any) -> Connection:
        connection = await connect(self._address, _NAME, self._timeout_s)
        with answered_within(connection, self._timeout_s):
            await connection.execute("SET default_transaction_read_only = on")
        await connection.set_autocommit(False)
        return connection
