"""An orchestrator whose certificate is of an authority that nobody knows but its users."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from component.test_calls import heard
from fakes.processes import RunnerProcess, Server
from fakes.proxy import Proxy
from fakes.waiting import eventually
from paddock.client.client import AsyncClient
from paddock.client.text import TextChannel
from paddock.errors import ConfigurationError, Unreachable
from testbed.pki import make_certificates


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    folder = tmp_path / "pki"
    make_certificates(folder, apiserver_addresses=["127.0.0.1"])
    return folder


@pytest.fixture
async def front(certificates: Path) -> AsyncIterator[Proxy]:
    """What ends TLS in front of the orchestrator, which is not there yet."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificates / "apiserver.crt", certificates / "apiserver.key")
    async with Proxy(0, tls=tls) as proxy:
        yield proxy


@pytest.fixture
async def secured(front: Proxy, tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(tmp_path, "--public-url", front.url)
    front.target = server.port
    await server.start()
    yield server
    server.kill()


async def test_runners_and_callers_trust_the_bundle_they_are_given(
    secured: Server, front: Proxy, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = str(certificates / "ca.crt")
    runner = RunnerProcess(secured)
    await runner.start(base_url=front.url, PADDOCK_CA_BUNDLE=bundle)
    monkeypatch.setenv("PADDOCK_CA_BUNDLE", bundle)
    try:
        async with AsyncClient(secured.keys["private"], front.url) as client:
            started = await client.start("desk", {})
            assert started.text_url.startswith("wss://")
            async with TextChannel.connect(started.text_url, started.token) as channel:
                assert await heard(channel) == "hello"
    finally:
        runner.kill()


async def test_without_the_bundle_nobody_is_believed(
    secured: Server, front: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PADDOCK_CA_BUNDLE", raising=False)
    async with AsyncClient(secured.keys["private"], front.url) as client:
        with pytest.raises(Unreachable, match="certificate"):
            await client.start("desk", {})


async def test_a_bundle_that_is_none_is_named_at_once(
    secured: Server, front: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "ca.pem"
    wrong.write_text("no certificate")
    monkeypatch.setenv("PADDOCK_CA_BUNDLE", str(wrong))
    async with AsyncClient(secured.keys["private"], front.url) as client:
        with pytest.raises(ConfigurationError, match=r"PADDOCK_CA_BUNDLE=.*ca\.pem"):
            await client.start("desk", {})
    runner = RunnerProcess(secured)
    with pytest.raises(AssertionError):
        await runner.start(base_url=front.url, PADDOCK_CA_BUNDLE=str(wrong))
    await eventually(lambda: "PADDOCK_CA_BUNDLE=" in runner.text(), what="its last words")
    assert "Traceback" not in runner.text()
