"""Running the command against a fake server."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fakes.http_server import FakeHttpServer
from paddock.cli.main import paddock

Paddock = Callable[..., Result]
"""`run("status", "-o", "json")`"""


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PADDOCK_API_KEY", "PADDOCK_BASE_URL", "PADDOCK_CONTEXT", "PADDOCK_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PADDOCK_CONTEXTS", str(tmp_path / "contexts.json"))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHttpServer]:
    with FakeHttpServer() as fake:
        monkeypatch.setenv("PADDOCK_BASE_URL", fake.url)
        monkeypatch.setenv("PADDOCK_API_KEY", "sk_test")
        yield fake


@pytest.fixture
def run() -> Paddock:
    def invoke(*args: str, text: str | None = None) -> Result:
        return CliRunner().invoke(paddock, args, input=text)

    return invoke


def is_one_line(text: str) -> bool:
    """Whether this is an error as we print them."""
    return re.fullmatch(r"Error: [^\n]+\n", text) is not None
