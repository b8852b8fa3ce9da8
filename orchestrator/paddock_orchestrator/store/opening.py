"""Which database an address names."""

from paddock_orchestrator.store.errors import StoreMisconfigured, StoreUnsupported
from paddock_orchestrator.store.sides import Reader, Writer
from paddock_orchestrator.store.sqlite.database import open_database as open_sqlite

_POSTGRES = ("postgresql", "postgres")
_DRIVER = ("psycopg", "greenlet")
_EXPECTED = "sqlite:////PATH or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"


def names_postgres(url: str) -> bool:
    """Whether the address is that of a PostgreSQL, which needs no folder of ours."""
    return url.partition("://")[0] in _POSTGRES


async def open_sides(
    url: str, timeout_s: float, wait_s: float, max_queue: int
) -> tuple[Writer, Reader]:
    """Open the database that `url` names, whose schema is this version's then.

    Raises `StoreMisconfigured` or `StoreUnavailable`.
    """
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise StoreMisconfigured("the store's address is no URL", expected=_EXPECTED)
    if scheme == "sqlite":
        return await open_sqlite(url, timeout_s, max_queue)
    if scheme not in _POSTGRES:
        raise StoreUnsupported(
            f"the store's address starts with {scheme}://",
            expected=_EXPECTED,
            fix="use one of them",
        )
    try:
        from paddock_orchestrator.store.postgres.database import open_database as open_postgres
    except ModuleNotFoundError as missing:
        if missing.name not in _DRIVER:
            raise
        raise StoreUnsupported(
            "PostgreSQL needs a driver, which is not installed",
            fix="pip install 'paddock[orchestrator,postgres]'",
        ) from None
    return await open_postgres(url, timeout_s, wait_s, max_queue)
