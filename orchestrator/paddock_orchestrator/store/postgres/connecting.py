"""Connections: made with what durability and recovery need, and cut when nobody answers."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.abc import Buffer
from psycopg.types.string import StrDumperUnknown

from paddock_orchestrator.store.postgres.address import Address

Connection = AsyncConnection[tuple[Any, ...]]

_PREPARE = (
    # The server, too, is to notice a peer that vanished, and with it to let go of its lock.
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;"
    " SET tcp_user_timeout = 25000;"
    # What is answered is durable, whatever this database or role was set to; stricter is kept.
    " SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') = 'off'"
)


class _Text(StrDumperUnknown):
    """PostgreSQL's texts cannot hold NUL, which JSON can."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(without_nul(obj))


def without_nul(text: str) -> str:
    """The text as it is kept and looked for: NUL is the replacement character."""
    return text.replace("\0", "\ufffd") if "\0" in text else text


async def connect(address: Address, name: str, timeout_s: float) -> Connection:
    """A connection that commits each statement, known to the server by `name`.

    Raises what the driver raises, and `TimeoutError`.
    """
    connection = await AsyncConnection.connect(
        address.conninfo, autocommit=True, application_name=name
    )
    try:
        connection.adapters.register_dumper(str, _Text)
        with answered_within(connection, timeout_s):
            await connection.execute(_PREPARE)
    except BaseException:
        await connection.close()
        raise
    return connection


@contextlib.contextmanager
def answered_within(connection: Connection, timeout_s: float) -> Iterator[None]:
    """Inside, the server has so long; then the connection is cut, and `TimeoutError` raised.

    Cancelling would not do: the driver then waits until the server has confirmed it.
    """
    cut = False

    def sever() -> None:
        nonlocal cut
        cut = True
        with contextlib.suppress(OSError, psycopg.Error):
            end = socket.socket(fileno=os.dup(connection.fileno()))
            with end:
                end.shutdown(socket.SHUT_RDWR)

    timer = asyncio.get_running_loop().call_later(timeout_s, sever)
    try:
        yield
    except Exception as error:
        if cut:
            raise TimeoutError(f"no answer within {timeout_s:g} s") from error
        raise
    finally:
        timer.cancel()
