"""A store on a real file."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paddock_orchestrator.store.store import Store


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state/records.db"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    store = await Store.open(url, busy_timeout_s=0.2)
    yield store
    await store.close()
