"""A store on a real database: each test that takes one is run on each kind there is."""

from collections.abc import AsyncIterator, Callable

import pytest

from paddock_orchestrator.store.store import Store
from testbed.postgres import Postgres


@pytest.fixture(
    scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def new_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], str]:
    """Makes addresses of databases that hold nothing yet."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path_factory.mktemp('store')}/state/records.db"
    server: Postgres = request.getfixturevalue("shared_postgres")
    return server.create


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    return new_url()


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    store = await Store.open(url, timeout_s=20.0)
    yield store
    await store.close()
