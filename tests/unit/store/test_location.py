"""Reading the store's address."""

from pathlib import Path

import pytest

from paddock_orchestrator.store.errors import StoreMisconfigured, StoreUnsupported
from paddock_orchestrator.store.sqlite.location import database_path
from paddock_orchestrator.store.store import Store


def test_an_absolute_and_a_relative_file() -> None:
    assert Path("/var/lib/x/records.db") == database_path("sqlite:////var/lib/x/records.db")
    assert Path.cwd() / "records.db" == database_path("sqlite:///records.db")


@pytest.mark.parametrize("url", ["postgresql+asyncpg://host/db", "sqlite+x:///x.db", "mysql://h/d"])
async def test_another_engine_is_refused_with_those_there_are(url: str) -> None:
    with pytest.raises(StoreUnsupported, match="sqlite:////PATH or postgresql://"):
        await Store.open(url)


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "sqlite://host/x.db", "sqlite:///x?a=b"],
)
def test_an_address_without_a_plain_file_is_refused(url: str) -> None:
    with pytest.raises(StoreMisconfigured, match=r"sqlite:////absolute\.db"):
        database_path(url)


@pytest.mark.parametrize("url", ["", "records.db", "user:hunter2@host/db"])
async def test_what_is_no_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(StoreMisconfigured, match="no URL") as caught:
        await Store.open(url)
    assert "hunter2" not in str(caught.value)
