"""What the probes and the scraper of an operator are shown."""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from http import HTTPStatus

from websockets.datastructures import Headers

from paddock.exposition import Page
from paddock.pages import Answer, Shown, metrics_page
from paddock_operator.backends.kubernetes.lease import Leadership
from paddock_operator.backends.kubernetes.operator import Operator
from paddock_operator.observe.health import Health, Signs, liveness, readiness
from paddock_operator.observe.metrics import Metrics

LOOP_TICK_S = 0.25
REMEMBERED_S = 60.0


class LoopWatch:
    """How late the event loop runs what is due."""

    def __init__(self) -> None:
        self._late_s: deque[float] = deque(maxlen=int(REMEMBERED_S / LOOP_TICK_S))

    @property
    def worst_s(self) -> float:
        """Of the last minute."""
        return max(self._late_s, default=0.0)

    async def run(self, metrics: Metrics) -> None:
        """Measure, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LOOP_TICK_S
            await asyncio.sleep(LOOP_TICK_S)
            late_s = max(0.0, loop.time() - due)
            self._late_s.append(late_s)
            metrics.record_loop_lag(self.worst_s)


def probe_pages(
    operator: Operator, leadership: Leadership, metrics: Metrics, loop: LoopWatch
) -> dict[str, Shown]:
    """`/healthz`, `/readyz`, `/metrics`, and `/explain`: the last decisions with their inputs."""

    def signs() -> Signs:
        return Signs(
            loop_lag_s=loop.worst_s,
            watch_silent_s=operator.silent_s if leadership.held else None,
            oldest_key_s=operator.oldest_key_s,
            leads=leadership.held,
            stands_by=leadership.stands_by,
            watches_synced=operator.synced,
        )

    def numbers() -> Page:
        metrics.record_leader(leadership.namespace, leadership.held)
        operator.measure(metrics)
        return metrics.take()

    async def explained(_: Headers) -> Answer:
        body = json.dumps(operator.explanations(), indent=1).encode()
        return Answer(HTTPStatus.OK, body, {"Content-Type": "application/json"})

    return {
        "/healthz": health_page(lambda: liveness(signs())),
        "/readyz": health_page(lambda: readiness(signs())),
        "/metrics": metrics_page(numbers),
        "/explain": explained,
    }


def health_page(judge: Callable[[], Health]) -> Shown:
    """The page of a probe: 200, or 503 with what is wrong."""

    async def page(_: Headers) -> Answer:
        health = judge()
        status = HTTPStatus.OK if health.ok else HTTPStatus.SERVICE_UNAVAILABLE
        return Answer(status, health.text.encode())

    return page
