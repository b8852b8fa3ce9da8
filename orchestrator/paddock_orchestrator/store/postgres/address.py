"""Where a PostgreSQL is: reading its URL, without ever repeating what may be a password."""

import re
from dataclasses import dataclass

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from paddock_orchestrator.store.errors import StoreMisconfigured

_DEFAULTS = {
    # A peer that vanished without a word is noticed after 25 s.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}


@dataclass(frozen=True, slots=True)
class Address:
    """What the driver is told, and what may be shown of it."""

    conninfo: str
    """Has the password: never to be logged."""
    name: str
    """`postgresql://HOST:PORT/DATABASE`."""


def read_address(url: str, *, timeout_s: float) -> Address:
    """The address of a `postgresql://` URL, in which every option of libpq may stand.

    Raises `StoreMisconfigured`.
    """
    defaults = {**_DEFAULTS, "connect_timeout": str(max(2, round(timeout_s)))}
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(url).items()}
        conninfo = make_conninfo("", **{**defaults, **given})
    except psycopg.Error:
        raise _unreadable() from None
    host, port, database = (given.get(key, "") for key in ("host", "port", "dbname"))
    # A password with an unescaped / or @ lands in these: they would be shown.
    if not re.fullmatch(r"[\d,]*", port) or "@" in host + database or "/" in database:
        raise _unreadable()
    shown = f"{host or given.get('hostaddr', '')}{port and f':{port}'}"
    return Address(conninfo, f"postgresql://{shown}/{database}")


def _unreadable() -> StoreMisconfigured:
    return StoreMisconfigured(
        "the database's URL cannot be read",
        expected="postgresql://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full",
        fix="percent-encode what is no letter or digit in user and password (/ is %2F, @ is %40);"
        " after the ? only libpq's options may stand",
    )
