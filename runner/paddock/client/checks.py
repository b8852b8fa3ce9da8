"""Whether an orchestrator can be used from here: address, keys, version, clock, sockets."""

import os
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from paddock import __version__
from paddock._tls import tls_for
from paddock.client.client import AsyncClient
from paddock.client.contexts import Context, ContextFile
from paddock.client.records import Key
from paddock.errors import ApiError, ConfigurationError, PaddockError, Unauthorized
from paddock.findings import Finding, doubtful, fine, wrong
from paddock.options import websocket_base
from paddock.protocol import closing, control

CLOCK_S = 2.0
"""Clocks that differ by more make ages and deadlines hard to believe."""
TIMEOUT_S = 10.0


async def orchestrator_findings(url: str | None, api_key: str | None) -> AsyncIterator[Finding]:
    """Look at the orchestrator that the options, the environment or the context name."""
    try:
        client = AsyncClient(api_key, url, timeout_s=TIMEOUT_S, retries=0)
    except ConfigurationError as why:
        yield wrong("settings", str(why), "mend what it names")
        return
    async with client:
        yield fine("address", client.server.url)
        answers = True
        async for finding in _server(client):
            answers = answers and finding.verdict != "wrong"
            yield finding
        if not answers:
            return
        async for finding in _keys(client):
            yield finding
        yield await _runner_key(client)


async def _server(client: AsyncClient) -> AsyncIterator[Finding]:
    began = time.time()
    try:
        health = await client.ask_openly("/healthz")
    except PaddockError as why:
        yield wrong("orchestrator", str(why), "start it, or name another with --url")
        return
    middle = (began + time.time()) / 2
    version = str(health.get("version", "unknown"))
    yield fine("orchestrator", "it answers")
    if version == __version__:
        yield fine("version", version)
    else:
        yield doubtful(
            "version", f"the orchestrator is of {version}, this command of {__version__}",
            "upgrade the older one",
        )  # fmt: skip
    if "at_ms" in health:
        yield _clock(float(health["at_ms"]) / 1000.0 - middle)
    try:
        await client.ask_openly("/readyz")
        yield fine("readiness", "starts can be taken")
    except ApiError as why:
        yield doubtful("readiness", str(why), "see the orchestrator's log; its store may be full")


def _clock(ahead_s: float) -> Finding:
    if abs(ahead_s) <= CLOCK_S:
        return fine("clock", f"{abs(ahead_s):.1f} s apart")
    side = "ahead of" if ahead_s > 0 else "behind"
    found = f"the orchestrator's is {abs(ahead_s):.0f} s {side} this machine's"
    return doubtful("clock", found, "let NTP set both")


async def _keys(client: AsyncClient) -> AsyncIterator[Finding]:
    if not client.server.key:
        yield wrong(
            "private key", "none is known",
            "pass --api-key, set PADDOCK_API_KEY, or use `paddock context add`",
        )  # fmt: skip
        return
    try:
        organization = await client.organization()
    except Unauthorized as why:
        yield wrong("private key", str(why), "use an sk_ key of this orchestrator")
        return
    yield fine("private key", f"manages {organization.name}")
    if client.server.start_key != client.server.key:
        yield _public_key(client.server.start_key, await client.keys.list())
    runners = [r for r in await client.runners.list() if r.connected]
    if runners:
        agents = {runner.agent for runner in runners}
        yield fine("runners", f"{len(runners)} connected, of {', '.join(sorted(agents))}")
    else:
        yield doubtful("runners", "none is connected", "start one: paddock run, up, or a pool")


def _public_key(text: str, known: Sequence[Key]) -> Finding:
    key = next((key for key in known if key.key == text), None)
    if key is None:
        return wrong(
            "public key", "the orchestrator does not know it",
            "choose one with `paddock organizations keys use NAME`",
        )  # fmt: skip
    make = "make one: `paddock organizations keys create NAME`, then `keys use NAME`"
    if key.revoked_at is not None:
        return wrong("public key", f"{key.name} was revoked at {key.revoked_at}", make)
    if key.expires_at is not None and datetime.fromisoformat(key.expires_at) < datetime.now(UTC):
        return wrong("public key", f"{key.name} expired at {key.expires_at}", make)
    return fine("public key", f"{key.name} starts sessions")


async def _runner_key(client: AsyncClient) -> Finding:
    """Open a control socket as a runner does, which also shows that sockets get through."""
    context = _context_of(client.server.url)
    if context is None or not context.runner_key:
        return doubtful("runner key", "none is known here, so sockets were not tried",
                        "add it: `paddock context add NAME --runner-key rk_…`")  # fmt: skip
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidHandshake, InvalidStatus

    url = websocket_base(client.server.url) + control.PATH
    headers = {"Authorization": f"Bearer {context.runner_key}"}
    try:
        async with connect(
            url, additional_headers=headers, open_timeout=TIMEOUT_S, proxy=None, ssl=tls_for(url)
        ) as socket:
            await socket.close(closing.NORMAL)
    except InvalidStatus as why:
        status = why.response.status_code
        if status in (401, 403):
            return wrong("runner key", f"it was refused ({status})", "use an rk_ key")
        return wrong("sockets", f"the upgrade was answered {status}",
                     "let proxies pass WebSockets")  # fmt: skip
    except (OSError, TimeoutError, InvalidHandshake) as why:
        found = f"{url}: {str(why) or type(why).__name__}"
        return wrong("sockets", found, "let proxies pass WebSockets")
    return fine("runner key", "a control socket opens")


def _context_of(url: str) -> Context | None:
    contexts = ContextFile.load(os.environ).contexts.values()
    return next((each for each in contexts if each.url == url), None)
