"""The control socket: `WS /v1/internal/workers`."""

import asyncio
import logging
from typing import Any

from paddock.protocol import closing, control
from paddock.protocol.codec import ProtocolError, Unknown
from paddock_orchestrator.keyring import Grant, Keyring
from paddock_orchestrator.links.accept import bearer, header
from paddock_orchestrator.links.outbox import Outbox, Receive, SendMessage
from paddock_orchestrator.listener.websocket import WIRE
from paddock_orchestrator.orchestrator import Orchestrator
from paddock_orchestrator.state.book import AGENT, LONGEST_NAME, Runner
from paddock_orchestrator.store.records import Scope

log = logging.getLogger("paddock.runners")

REGISTER_TIMEOUT_S = 10.0

_parse = control.from_runner.parse


class RunnerSocket:
    """Serves the connections of runners."""

    def __init__(self, orchestrator: Orchestrator, keyring: Keyring) -> None:
        self._orchestrator = orchestrator
        self._keyring = keyring

    async def __call__(self, scope: Any, receive: Receive, send: SendMessage) -> None:
        await receive()
        outbox = Outbox(scope, send)
        grant = self._keyring.find(bearer(scope["headers"]))
        if grant is None or not grant.may(Scope.RUNNER):
            await send({"type": "websocket.accept"})
            outbox.close(closing.BAD_CREDENTIAL, "unknown, revoked or expired key")
            return
        if self._orchestrator.stopping:
            await send({"type": "websocket.accept"})
            outbox.close(closing.RESTART, "retry_ms=1000")
            return
        connection = _Connection(self._orchestrator, outbox, grant, scope)
        scope["extensions"][WIRE].listen(connection.hear)
        await send({"type": "websocket.accept"})
        timer = asyncio.get_running_loop().call_later(REGISTER_TIMEOUT_S, connection.too_late)
        try:
            await receive()  # texts go to the connection, so this is that the peer is gone
        finally:
            timer.cancel()
            connection.over()


class _Connection:
    """One runner's connection: registration first, then whatever it has to say."""

    def __init__(
        self, orchestrator: Orchestrator, outbox: Outbox, grant: Grant, scope: Any
    ) -> None:
        self._orchestrator = orchestrator
        self._outbox = outbox
        self._grant = grant
        host = header(scope["headers"], b"host")
        forwarded = header(scope["headers"], b"x-forwarded-proto").decode("latin-1")
        self._url = orchestrator.socket_url(host, forwarded or scope.get("scheme"))
        self._socket = orchestrator.socket_opened(outbox, grant)
        self._runner: Runner | None = None

    def hear(self, text: bytes) -> None:
        """Pass on what the runner says, until a newer socket of its own takes over."""
        if self._outbox.closed:
            return
        try:
            frame = _parse(text)
            runner = self._runner
            if runner is None:
                self._runner = self._registered(frame)
            elif runner.socket == self._socket and not isinstance(frame, Unknown):
                self._orchestrator.hear(runner, frame)
        except ProtocolError as why:
            log.warning("runner_broke_protocol", extra={"why": str(why)})
            self._outbox.close(closing.PROTOCOL_VIOLATION, str(why))

    def too_late(self) -> None:
        """The time for registering is up."""
        if self._runner is None:
            self._outbox.close(closing.PROTOCOL_VIOLATION, "no register frame within 10 s")

    def over(self) -> None:
        """The connection is over."""
        self._orchestrator.socket_closed(self._runner, self._socket)
        if not self._outbox.closed:
            self._outbox.dropped()

    def _registered(self, frame: control.FromRunner | Unknown) -> Runner:
        if not isinstance(frame, control.Register):
            raise ProtocolError("type", type(frame).__name__.lower(), "register, first")
        if len(frame.worker_id) > LONGEST_NAME:
            expected = f"at most {LONGEST_NAME} characters"
            raise ProtocolError("worker_id", frame.worker_id[:60], expected)
        if AGENT.match(frame.pool) is None:
            raise ProtocolError("pool", frame.pool[:60], "a DNS label, or one with @dev")
        agent = frame.pool.removesuffix("@dev")
        if frame.capabilities.agent_id != agent:
            raise ProtocolError("pool", frame.pool, "the agent_id, or agent_id@dev")
        if frame.capabilities.max_concurrent < 0:
            limit = frame.capabilities.max_concurrent
            raise ProtocolError("capabilities.max_concurrent", limit, "0 or more")
        if not self._grant.reaches(agent):
            raise ProtocolError("pool", frame.pool, "an agent this key may run")
        log.info("runner_registered", extra={"runner": frame.worker_id, "agent": frame.pool})
        return self._orchestrator.register(self._grant.org, frame, self._socket, self._url)
