"""What happens on an orchestrator, as server-sent events, resumed by id after a lost connection."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec

from paddock.client.records import Event, convert
from paddock.client.transport import Transport, authorization, refusal, unreachable
from paddock.errors import Unavailable
from paddock.protocol.backoff import Backoff

SILENCE_S = 40.0
"""The orchestrator breaks its silence every 15 s: after this long the connection is dead."""


class Events:
    """The organization's history and its continuation."""

    def __init__(self, transport: Transport, key: str) -> None:
        self._transport = transport
        self._key = key

    async def follow(
        self, *, agent: str | None = None, after: int | None = None, give_up_after: int = 10
    ) -> AsyncIterator[Event]:
        """Every event after id `after`, for ever; from now on without one.

        Each is yielded once, in order, however often the connection is lost. Raises an `ApiError`
        for a refusal, and `Unavailable` after `give_up_after` vain attempts in a row.
        """
        last, failures = after, Backoff(first_s=0.2, ceiling_s=5.0)
        while True:
            try:
                async for event in self._stream(agent, last, follow=True):
                    failures.reset()
                    if last is None or event.event_id > last:
                        last = event.event_id
                        yield event
            except Unavailable:
                if failures.attempts >= give_up_after:
                    raise
            await asyncio.sleep(failures.next(random.random()))

    async def list(self, *, agent: str | None = None, after: int = 0) -> tuple[Event, ...]:
        """The kept events after id `after`, oldest first."""
        return tuple([e async for e in self._stream(agent, after, follow=False)])

    async def _stream(
        self, agent: str | None, after: int | None, *, follow: bool
    ) -> AsyncIterator[Event]:
        import httpx

        given = {"agent": agent, "after": after, "follow": str(follow).lower()}
        params = {k: v for k, v in given.items() if v is not None}
        timeout = httpx.Timeout(10.0, read=SILENCE_S)
        parser = SseParser()
        try:
            async with self._transport.http.stream(
                "GET", "/v1/events", params=params, headers=authorization(self._key),
                timeout=timeout,
            ) as response:  # fmt: skip
                if not response.is_success:
                    raise refusal(response.status_code, await response.aread(), response.headers)
                async for line in response.aiter_lines():
                    data = parser.feed(line)
                    if data is not None:
                        yield convert(msgspec.json.decode(data), Event)
        except httpx.TransportError as why:
            raise unreachable(self._transport.url, why, SILENCE_S) from None


@dataclass(slots=True)
class SseParser:
    """Lines of a `text/event-stream`, sans-I/O. Only the data matters here: it holds its id."""

    _data: list[str] = field(default_factory=list)

    def feed(self, line: str) -> str | None:
        """The data of the event that this line completes, if it completes one."""
        if not line:
            data, self._data = "\n".join(self._data), []
            return data or None
        name, _, value = line.partition(":")
        if name == "data":
            self._data.append(value.removeprefix(" "))
        return None
