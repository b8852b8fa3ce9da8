"""The control socket of a runner: connect, register, beat, and come back whenever it is lost."""

import asyncio
import logging
import random
import re
import time
from collections.abc import Callable

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from paddock._tls import tls_for
from paddock.errors import CredentialRefused
from paddock.protocol import closing, control
from paddock.protocol.backoff import Backoff
from paddock.protocol.codec import MAX_FRAME_BYTES, ProtocolError, Unknown, encode
from paddock.protocol.runner_link import Beat, Output, Reply, RunJob, RunnerLink

log = logging.getLogger("paddock.control")

OPEN_TIMEOUT_S = 10.0
REGISTER_TIMEOUT_S = 10.0
_RETRY = re.compile(r"retry_ms=(\d+)")


class ControlSocket:
    """Moves frames between the orchestrator and the link machine."""

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        link: RunnerLink,
        capabilities: Callable[[], control.Capabilities],
        on_output: Callable[[Output], None],
    ) -> None:
        self._url = base_url + control.PATH
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._link = link
        self._capabilities = capabilities
        self._on_output = on_output
        self._socket: ClientConnection | None = None
        self._sending: asyncio.Queue[str] = asyncio.Queue(10_000)
        self._beat_s: int | None = None

    async def run(self) -> None:
        """Until cancelled. Raises `CredentialRefused` when the key will never do."""
        backoff = Backoff()
        while True:
            wait_s: float | None = None
            try:
                await self._connected(backoff)
            except InvalidStatus as why:
                if why.response.status_code in (401, 403):
                    raise CredentialRefused(f"{self._url}: the key was refused") from None
                log.warning("control_refused", extra={"status": why.response.status_code})
            except ConnectionClosed as closed:
                wait_s = self._closed(closed)
            except (OSError, TimeoutError, InvalidHandshake, ProtocolError) as why:
                log.warning("control_lost", extra={"why": str(why) or type(why).__name__})
            finally:
                self._socket = None
                self._link.registered = False
            await asyncio.sleep(wait_s if wait_s is not None else backoff.next(random.random()))

    def send(self, frame_text: str) -> None:
        """Queue a frame for the present socket; it is dropped with the socket."""
        if self._socket is not None and not self._sending.full():
            self._sending.put_nowait(frame_text)

    async def flush(self) -> None:
        """Wait, briefly, until what was queued is on the wire."""
        if self._socket is not None:
            try:
                async with asyncio.timeout(2.0):
                    await self._sending.join()
            except TimeoutError:
                pass

    def _closed(self, closed: ConnectionClosed) -> float | None:
        code = closed.rcvd.code if closed.rcvd else 1006
        reason = closed.rcvd.reason if closed.rcvd else ""
        if code in closing.FATAL:
            raise CredentialRefused(f"{self._url}: {reason or 'the key was refused'}") from None
        log.warning("control_lost", extra={"code": code, "reason": reason})
        retry = _RETRY.search(reason)
        return int(retry[1]) / 1000.0 * random.random() if retry else None

    async def _connected(self, backoff: Backoff) -> None:
        async with connect(
            self._url, additional_headers=self._headers, open_timeout=OPEN_TIMEOUT_S,
            max_size=MAX_FRAME_BYTES, compression=None, ping_interval=10, ping_timeout=15,
            close_timeout=2, proxy=None, ssl=tls_for(self._url),
        ) as socket:  # fmt: skip
            self._sending = asyncio.Queue(10_000)
            await socket.send(encode(self._link.registration(self._capabilities())))
            async with asyncio.timeout(REGISTER_TIMEOUT_S):
                welcome = control.to_runner.parse(await socket.recv())
            if not isinstance(welcome, control.Welcomed):
                raise ProtocolError("type", type(welcome).__name__, "registered, first")
            self._socket = socket
            log.info("registered", extra={"url": self._url})
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(self._write(socket))
                self._take(self._link.receive(welcome, time.monotonic()))
                backoff.reset()
                beating = group.create_task(self._beat())
                try:
                    await self._read(socket)
                finally:
                    writing.cancel()
                    beating.cancel()
            raise socket.protocol.close_exc

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for message in socket:
                frame = control.to_runner.parse(message)
                if not isinstance(frame, Unknown):
                    self._take(self._link.receive(frame, time.monotonic()))
        except ConnectionClosed:
            return
        except ProtocolError as why:
            log.warning("control_frame_refused", extra={"why": str(why)})
            await socket.close(closing.PROTOCOL_VIOLATION, str(why)[:100])

    def _take(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Reply(frame):
                    self.send(encode(frame))
                case Beat(every_s):
                    self._beat_s = every_s
                case RunJob() | _:
                    self._on_output(output)

    async def _write(self, socket: ClientConnection) -> None:
        sending = self._sending
        try:
            while True:
                await socket.send(await sending.get())
                sending.task_done()
        except ConnectionClosed:
            return

    async def _beat(self) -> None:
        while True:
            self._take(self._link.beat())
            await asyncio.sleep(self._beat_s or 5)
