"""Reading the store's address."""

from pathlib import Path

import pytest

from paddock_orchestrator.store.errors import StoreMisconfigured, StoreUnsupported
from paddock_orchestrator.store.location import database_path


def test_an_absolute_and_a_relative_file() -> None:
    assert Path("/var/lib/x/records.db") == database_path("sqlite:////var/lib/x/records.db")
    assert Path.cwd() / "records.db" == database_path("sqlite:///records.db")


@pytest.mark.parametrize("url", ["postgresql://host/db", "sqlite+aiosqlite:///x.db", "mysql://h/d"])
def test_another_engine_is_refused_with_the_fix(url: str) -> None:
    with pytest.raises(StoreUnsupported, match="sqlite://"):
        database_path(url)


@pytest.mark.parametrize(
    "url",
    ["", "records.db", "sqlite://", "sqlite:///:memory:", "sqlite://host/x.db", "sqlite:///x?a=b"],
)
def test_an_address_without_a_plain_file_is_refused(url: str) -> None:
    with pytest.raises(StoreMisconfigured, match=r"sqlite:////absolute\.db"):
        database_path(url)


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(StoreMisconfigured) as caught:
        database_path("postgresql://user:hunter2@host/db")
    assert "hunter2" not in str(caught.value)
