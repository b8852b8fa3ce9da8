"""Every metric of a runner, in one place, and the page that shows them."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Final

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from paddock.exposition import CONTENT_TYPE, Declarations, Histogram, Page, Scrapes
from paddock.protocol.words import EndReason
from paddock.stats import RunnerStats

log = logging.getLogger("paddock.metrics")

_AGENT: Final = {"agent": ""}
_END_REASONS: Final = tuple(reason.value for reason in EndReason)

RUNNER_METRICS: Final = Declarations()
_gauge = RUNNER_METRICS.gauge

IN_FLIGHT: Final = _gauge("paddock_runner_in_flight", "Calls that take a slot.", **_AGENT)
QUEUED: Final = _gauge(
    "paddock_runner_queued", "Starts that wait for the pool's capacity.", **_AGENT
)
CAPACITY: Final = _gauge("paddock_runner_capacity", "Slots.", **_AGENT)
LAST_HOUR: Final = _gauge(
    "paddock_runner_sessions_last_hour", "Calls that ended within the last hour.",
    **_AGENT, outcome=("completed", "failed"),
)  # fmt: skip
MEAN_SECONDS: Final = _gauge(
    "paddock_runner_session_mean_seconds",
    "Mean length of the calls that ended within the last hour.", **_AGENT,
)  # fmt: skip
CONNECTED: Final = _gauge(
    "paddock_runner_connected", "1 while it is registered with the orchestrator.", **_AGENT
)
DRAINING: Final = _gauge("paddock_runner_draining", "1 while it takes no new calls.", **_AGENT)
ENDED: Final = RUNNER_METRICS.counter(
    "paddock_runner_sessions_ended_total", "Calls that ended.", **_AGENT, reason=_END_REASONS
)
REPLY_SECONDS: Final = RUNNER_METRICS.histogram(
    "paddock_runner_reply_seconds",
    "From what a caller said to the first chunk of the answer; counted when the call is over.",
    (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10), **_AGENT,
)  # fmt: skip


class RunnerMetrics:
    """What is counted beside `RunnerStats`."""

    def __init__(self, agent: str) -> None:
        self._agent = agent
        self._ended = Counter(dict.fromkeys(_END_REASONS, 0))
        self._replies = Histogram(REPLY_SECONDS.bounds)

    def ended(self, reason: str, replies_ms: Iterable[float]) -> None:
        """A call is over."""
        self._ended[reason if reason in self._ended else EndReason.COMPLETED.value] += 1
        for each in replies_ms:
            self._replies.observe(each / 1000.0)

    def take(self, stats: RunnerStats, *, connected: bool, draining: bool) -> Page:
        """All figures as they are."""
        page, agent = Page(RUNNER_METRICS), self._agent
        page.put(IN_FLIGHT, stats.in_flight, agent)
        page.put(QUEUED, stats.queued, agent)
        page.put(CAPACITY, stats.capacity, agent)
        page.put(LAST_HOUR, stats.completed_last_hour, agent, "completed")
        page.put(LAST_HOUR, stats.failed_last_hour, agent, "failed")
        page.put(MEAN_SECONDS, stats.mean_call_duration_s, agent)
        page.put(CONNECTED, int(connected), agent)
        page.put(DRAINING, int(draining), agent)
        for reason, number in self._ended.items():
            page.put(ENDED, number, agent, reason)
        page.put_histogram(REPLY_SECONDS, self._replies, agent)
        return page


async def show_metrics(port: int, take: Callable[[], Page]) -> None:
    """`/metrics` on every address of this host, until cancelled. 0: any free port.

    A port that is taken is told in the log: a runner is there for its calls.
    """
    scrapes = Scrapes(take)

    async def answer(connection: ServerConnection, request: Request) -> Response:
        if request.path.partition("?")[0] != "/metrics":
            return connection.respond(HTTPStatus.NOT_FOUND, "Not Found\n")
        try:
            page = await scrapes.answer()
        except TimeoutError:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "Service Unavailable\n")
        shown = connection.respond(HTTPStatus.OK, page.decode())
        del shown.headers["Content-Type"]
        shown.headers["Content-Type"] = CONTENT_TYPE
        return shown

    quiet = log.getChild("http")
    quiet.setLevel(logging.WARNING)
    try:
        server = await serve(_never, None, port, process_request=answer, logger=quiet)
    except OSError as why:
        log.warning("metrics_not_shown", extra={"port": port, "why": why.strerror or str(why)})
        return
    async with server:
        bound = next(iter(server.sockets)).getsockname()[1]
        log.info("metrics", extra={"url": f"http://127.0.0.1:{bound}/metrics"})
        await asyncio.Future()


async def _never(_: ServerConnection) -> None:
    """Every request was answered before it could become a WebSocket."""
