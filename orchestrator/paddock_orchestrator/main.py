"""The orchestrator as a process: open the store, recover, serve, stop."""

import asyncio
import contextlib
import fcntl
import gc
import logging
import os
import secrets
import signal
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace

import uvicorn
import uvloop

from paddock import logs
from paddock.client.contexts import Context, ContextFile
from paddock_orchestrator.app import App
from paddock_orchestrator.given_keys import read_keys
from paddock_orchestrator.journal import Journal
from paddock_orchestrator.keyring import Keyring, first_keys, found
from paddock_orchestrator.listener.http import Connection
from paddock_orchestrator.listener.websocket import Wire
from paddock_orchestrator.orchestrator import Orchestrator, now
from paddock_orchestrator.recovery import reopen
from paddock_orchestrator.settings import Settings
from paddock_orchestrator.state.machine import Dispatcher
from paddock_orchestrator.store.opening import names_postgres
from paddock_orchestrator.store.records import Scope
from paddock_orchestrator.store.store import Store
from paddock_orchestrator.tokens import Tokens

log = logging.getLogger("paddock.main")

_SECRET = "token-secret"  # the setting's name, not its value
STOP_TIMEOUT_S = 5


class CannotStart(Exception):
    """The process cannot serve: what is in the way, and the fix."""


def serve(settings: Settings, env: Mapping[str, str]) -> None:
    """Serve until SIGTERM or SIGINT. Raises `CannotStart`, `StoreError` or `SettingError`."""
    logs.configure(settings.log_format, settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, env))


async def _serve(settings: Settings, env: Mapping[str, str]) -> None:
    given = read_keys(settings.keys_dir) if settings.keys_dir is not None else None
    with _alone(settings):
        listener = _listen(settings)
        port = listener.getsockname()[1]
        url = settings.public_url or f"http://{_reachable(settings.host)}:{port}"
        await _serve_on(listener, url, replace(settings, port=port), given, env)


async def _serve_on(
    listener: socket.socket,
    url: str,
    settings: Settings,
    given: Mapping[Scope, str] | None,
    env: Mapping[str, str],
) -> None:
    store = await Store.open(settings.store_url, wait_s=settings.database_wait_s)
    try:
        keyring = Keyring(
            store, starts_per_s=settings.starts_per_s, starts_burst=settings.starts_burst
        )
        await keyring.load()
        fresh = not await store.organizations()
        texts = await _keys(keyring, given, fresh=fresh)
        _remember_keys(texts, settings.context_name, url, env)
        if fresh:
            await found(store)
        lines = logs.buffer(asyncio.get_running_loop())
        try:
            history = logs.EventLog(
                "paddock.sessions",
                as_json=settings.log_format == "json",
                write=lines.write if log.isEnabledFor(logging.INFO) else len,
            )
            orchestrator = await assemble(settings, store, history, fresh=fresh)
            log.info("listening", extra={"url": url, "pid": os.getpid()})
            await _run(orchestrator, App(orchestrator, keyring), listener)
        finally:
            lines.drain()
    finally:
        await store.close()


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Hold the state directory for this process; the kernel lets go of it when we die.

    A PostgreSQL is held by a lock of its own, and nothing is kept in the directory then.
    """
    if names_postgres(settings.store_url):
        yield
        return
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = open(settings.state_dir / ".lock", "w", encoding="ascii")  # noqa: SIM115
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise CannotStart(
            f"another orchestrator runs on {settings.state_dir}; "
            "stop it, or choose another directory with --state-dir"
        ) from None
    with lock:
        yield


async def assemble(
    settings: Settings, store: Store, history: logs.EventLog, *, fresh: bool
) -> Orchestrator:
    """An orchestrator over an open store, with what was live before put back in place.

    Over a `fresh` store nothing was live, so no runner is waited for.
    """
    dispatcher = Dispatcher(settings.limits, boot=secrets.token_hex(8))
    last_event_id, seen = await store.last_event_id(), await store.seen_keys()
    journal = Journal(store, last_event_id=last_event_id, seen=seen)
    orchestrator = Orchestrator(
        settings, dispatcher, journal, Tokens(await _secret(store)), history
    )
    if not fresh:
        orchestrator.apply(await reopen(store, dispatcher, now()))
    return orchestrator


async def _secret(store: Store) -> bytes:
    secret = await store.setting(_SECRET)
    if secret is None:
        secret = secrets.token_bytes(32)
        await store.put_setting(_SECRET, secret)
    return secret


async def _keys(
    keyring: Keyring, given: Mapping[Scope, str] | None, *, fresh: bool
) -> Mapping[Scope, str] | None:
    """The texts of the first keys: those that are given, else new ones over a `fresh` store.

    None: they were made at an earlier start, and nobody knows their texts.
    """
    if given is None:
        return await first_keys(keyring) if fresh else None
    for scope, text in given.items():
        await keyring.adopt("default", scope, text)
    return given


def _remember_keys(
    texts: Mapping[Scope, str] | None, name: str, url: str, env: Mapping[str, str]
) -> None:
    """Let this machine's command line find the first keys, and where we are."""
    file = ContextFile.load(env)
    known = file.contexts.get(name)
    if texts is None:
        if known is not None and known.url != url:
            file.put(replace(known, url=url), use=False)
            file.save()
        return
    context = Context(
        name=name,
        url=url,
        private_key=texts[Scope.PRIVATE],
        public_key=texts[Scope.PUBLIC],
        runner_key=texts[Scope.RUNNER],
    )
    file.put(context, use=True)
    file.save()
    log.info("first_keys_written", extra={"file": str(file.path)})


async def _run(orchestrator: Orchestrator, app: App, listener: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        http=Connection,
        ws=Wire,
        lifespan="off",
        access_log=False,
        log_config=None,
        ws_max_size=1 << 20,
        ws_ping_interval=10.0,
        ws_ping_timeout=15.0,
        ws_per_message_deflate=False,
        proxy_headers=False,
        timeout_graceful_shutdown=STOP_TIMEOUT_S,
        server_header=False,
        date_header=False,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    living = asyncio.create_task(orchestrator.run())
    # What was made at start-up lives as long as the process: keep the collector off it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    stopping = asyncio.create_task(stop.wait())
    taken = asyncio.create_task(orchestrator.journal.store.taken())
    try:
        ends = (serving, living, stopping, taken)
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping")
        orchestrator.stop()
        server.should_exit = True
        await serving
        if living.done():
            living.result()
        if taken.done():
            raise taken.result()
    finally:
        for task in (living, stopping, taken):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: ours close the sockets politely first."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as why:
        listener.close()
        raise CannotStart(
            f"cannot listen on {settings.host}:{settings.port}: {why.strerror}; "
            "choose another with --port, or --port 0 for any"
        ) from None
    listener.listen(1024)
    listener.setblocking(False)
    return listener


def _reachable(host: str) -> str:
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
