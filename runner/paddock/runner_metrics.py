"""Every metric of a runner, in one place, and the page that shows them."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from paddock.exposition import Declarations, Histogram, Page
from paddock.pages import metrics_page, serve_pages
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
    try:
        async with serve_pages({"/metrics": metrics_page(take)}, None, port) as bound:
            log.info("metrics", extra={"url": f"http://127.0.0.1:{bound}/metrics"})
            await asyncio.Future()
    except OSError as why:
        log.warning("metrics_not_shown", extra={"port": port, "why": why.strerror or str(why)})
