"""The control socket: `WS /v1/internal/workers`."""

import asyncio
import logging
from typing import Any

from paddock.protocol import closing, control
from paddock.protocol.codec import ProtocolError, Unknown
from paddock_orchestrator.keyring import Grant, Keyring
from paddock_orchestrator.links.accept import bearer, received, text_of
from paddock_orchestrator.links.outbox import Outbox, Receive, SendMessage
from paddock_orchestrator.orchestrator import Orchestrator
from paddock_orchestrator.state.book import Runner
from paddock_orchestrator.store.records import Scope

log = logging.getLogger("paddock.runners")

REGISTER_TIMEOUT_S = 10.0


class RunnerSocket:
    """Serves one runner's connection: registration first, then whatever it has to say."""

    def __init__(self, orchestrator: Orchestrator, keyring: Keyring) -> None:
        self._orchestrator = orchestrator
        self._keyring = keyring

    async def __call__(self, scope: Any, receive: Receive, send: SendMessage) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        outbox = Outbox(send)
        grant = self._keyring.find(bearer(scope))
        if grant is None or not grant.may(Scope.RUNNER):
            outbox.close(closing.BAD_CREDENTIAL, "unknown, revoked or expired key")
            return
        if self._orchestrator.stopping:
            outbox.close(closing.RESTART, "retry_ms=1000")
            return
        socket = self._orchestrator.socket_opened(outbox)
        runner: Runner | None = None
        try:
            async with asyncio.timeout(REGISTER_TIMEOUT_S):
                runner = self._registered(await received(receive), grant, socket, scope)
            await self._listen(receive, runner, socket)
        except ProtocolError as why:
            log.warning("runner_broke_protocol", extra={"why": str(why)})
            outbox.close(closing.PROTOCOL_VIOLATION, str(why))
        except TimeoutError:
            outbox.close(closing.PROTOCOL_VIOLATION, "no register frame within 10 s")
        except ConnectionError:
            pass
        finally:
            self._orchestrator.socket_closed(runner, socket)
            if not outbox.closed:
                outbox.dropped()

    async def _listen(self, receive: Receive, runner: Runner, socket: int) -> None:
        """Pass on what the runner says, until a newer socket of its own takes over."""
        parse, hear = control.from_runner.parse, self._orchestrator.hear
        while True:
            message = await receive()
            frame = parse(message.get("text") or text_of(message))
            if isinstance(frame, Unknown):
                continue
            if runner.socket != socket:
                return
            hear(runner, frame)

    def _registered(self, text: str | None, grant: Grant, socket: int, scope: Any) -> Runner:
        if text is None:
            raise ConnectionError
        frame = control.from_runner.parse(text)
        if not isinstance(frame, control.Register):
            raise ProtocolError("type", type(frame).__name__.lower(), "register, first")
        agent = frame.pool.removesuffix("@dev")
        if frame.capabilities.agent_id != agent:
            raise ProtocolError("pool", frame.pool, "the agent_id, or agent_id@dev")
        if frame.capabilities.max_concurrent < 0:
            limit = frame.capabilities.max_concurrent
            raise ProtocolError("capabilities.max_concurrent", limit, "0 or more")
        if not grant.reaches(agent):
            raise ProtocolError("pool", frame.pool, "an agent this key may run")
        log.info("runner_registered", extra={"runner": frame.worker_id, "agent": frame.pool})
        url = self._orchestrator.socket_url(scope)
        return self._orchestrator.register(grant.org, frame, socket, url)
