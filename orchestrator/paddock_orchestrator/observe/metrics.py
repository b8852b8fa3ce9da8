"""Every metric of the orchestrator, in one place.

Counts are kept by the state core and read when somebody scrapes, so that the hot path pays for none
of them; only durations, and starts that do not get as far as the core, are observed as they happen.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from paddock.exposition import Declarations, Histogram, Page
from paddock.protocol.words import EndReason
from paddock_orchestrator.dispatch.refusal import Reason

if TYPE_CHECKING:
    from paddock_orchestrator.orchestrator import Orchestrator
    from paddock_orchestrator.state.book import Instant, Pool, Session

RUNNER_STATES: Final = ("serving", "draining", "gone")
SOCKETS: Final = ("runner", "bridge", "text")
LOSSES: Final = ("runner_gone", "runner_forgot", "runner_restarted", "other")
REJECTIONS: Final = (
    "bad_key", "wrong_scope", "wrong_agent", "unknown_agent", "rate_limited", "too_large",
    "bad_json", "bad_request", "no_room_provider", "idempotency_mismatch", "shutting_down",
    "recovering", "store_unavailable", "other",
)  # fmt: skip
_REASONS: Final = tuple(reason.value for reason in Reason)
_END_REASONS: Final = tuple(reason.value for reason in EndReason)
_OF_POOL: Final = {"organization": "", "agent": ""}

ORCHESTRATOR_METRICS: Final = Declarations()
_gauge, _counter = ORCHESTRATOR_METRICS.gauge, ORCHESTRATOR_METRICS.counter
_histogram = ORCHESTRATOR_METRICS.histogram

RUNNERS: Final = _gauge(
    "paddock_orchestrator_runners", "Known runners; gone: without a socket.",
    **_OF_POOL, state=RUNNER_STATES,
)  # fmt: skip
SESSIONS: Final = _gauge(
    "paddock_orchestrator_sessions", "Sessions that take a slot, and starts that wait for one.",
    **_OF_POOL, state=("in_flight", "queued"),
)  # fmt: skip
CAPACITY: Final = _gauge(
    "paddock_orchestrator_capacity", "Slots of connected, serving runners.", **_OF_POOL
)
LAST_HOUR: Final = _gauge(
    "paddock_orchestrator_sessions_last_hour", "Sessions that ended within the last hour.",
    **_OF_POOL, outcome=("completed", "failed"),
)  # fmt: skip
MEAN_SECONDS: Final = _gauge(
    "paddock_orchestrator_session_mean_seconds",
    "Mean length of the sessions that ended within the last hour.", **_OF_POOL,
)  # fmt: skip
ARRIVALS: Final = _counter(
    "paddock_orchestrator_arrivals_total", "Starts that asked for capacity, answered or not.",
    **_OF_POOL,
)  # fmt: skip
ANSWERED: Final = _counter(
    "paddock_orchestrator_answered_total", "Starts that got a session.", **_OF_POOL
)
LATE: Final = _counter(
    "paddock_orchestrator_late_total",
    "Starts that waited longer than half a second, or left.", **_OF_POOL,
)  # fmt: skip
REFUSALS: Final = _counter(
    "paddock_orchestrator_refusals_total", "Starts that asked for capacity and got no session.",
    **_OF_POOL, reason=_REASONS,
)  # fmt: skip
COMPLETIONS: Final = _counter(
    "paddock_orchestrator_completions_total", "Sessions that ended after they had been answered.",
    **_OF_POOL,
)  # fmt: skip
ENDED: Final = _counter(
    "paddock_orchestrator_sessions_ended_total", "Ended sessions, refused starts included.",
    **_OF_POOL, reason=_END_REASONS,
)  # fmt: skip
LOST: Final = _counter(
    "paddock_orchestrator_sessions_lost_total", "Sessions whose runner was lost, by how.",
    **_OF_POOL, cause=LOSSES,
)  # fmt: skip
REJECTED: Final = _counter(
    "paddock_orchestrator_starts_rejected_total",
    "Starts that were refused before they could ask for capacity.", reason=REJECTIONS,
)  # fmt: skip
START_SECONDS: Final = _histogram(
    "paddock_orchestrator_start_seconds", "From an admitted start to its answer with a session.",
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)  # fmt: skip
SESSION_SECONDS: Final = _histogram(
    "paddock_orchestrator_session_seconds",
    "Length of ended sessions, from entrypoint to end of call.",
    (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200),
)
OPEN_SOCKETS: Final = _gauge("paddock_orchestrator_sockets", "Open WebSockets.", kind=SOCKETS)
STORE_UP: Final = _gauge("paddock_orchestrator_store_up", "1 while records can be written.")
STORE_QUEUE: Final = _gauge("paddock_orchestrator_store_queue", "Writes that wait.")
COMMIT_SECONDS: Final = _gauge(
    "paddock_orchestrator_store_commit_seconds", "Duration of the newest commit."
)
UNSAVED: Final = _gauge(
    "paddock_orchestrator_unsaved_ends", "Ended sessions whose end could not be written yet."
)


class Metrics:
    """`/metrics` of one process."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._start = Histogram(START_SECONDS.bounds)
        self._length = Histogram(SESSION_SECONDS.bounds)
        self._rejected = Counter(dict.fromkeys(REJECTIONS, 0))

    def started(self, seconds: float) -> None:
        self._start.observe(seconds)

    def rejected(self, reason: str) -> None:
        """A start was refused before it could ask for capacity."""
        self._rejected[reason if reason in self._rejected else "other"] += 1

    def ended(self, session: Session) -> None:
        if session.started_ms is not None and session.ended_ms is not None:
            self._length.observe(max(0, session.ended_ms - session.started_ms) / 1000.0)

    def take(self, now: Instant) -> Page:
        """All figures as they are."""
        page = Page(ORCHESTRATOR_METRICS)
        for pool in self._orchestrator.book.pools.values():
            _put_state(page, pool, now)
            _put_counts(page, pool)
        for reason, number in self._rejected.items():
            page.put(REJECTED, number, reason)
        page.put_histogram(START_SECONDS, self._start)
        page.put_histogram(SESSION_SECONDS, self._length)
        self._put_process(page)
        return page

    def _put_process(self, page: Page) -> None:
        orchestrator = self._orchestrator
        connected = sum(r.socket is not None for r in orchestrator.book.runners.values())
        switchboard = orchestrator.switchboard
        numbers = (connected, switchboard.bridges, switchboard.callers)
        for kind, number in zip(SOCKETS, numbers, strict=True):
            page.put(OPEN_SOCKETS, number, kind)
        health = orchestrator.journal.store.health()
        page.put(STORE_UP, int(health.ok))
        page.put(STORE_QUEUE, health.queued)
        page.put(COMMIT_SECONDS, health.commit_s)
        page.put(UNSAVED, orchestrator.journal.unsaved)


def _put_state(page: Page, pool: Pool, now: Instant) -> None:
    """How the pool is."""
    name = pool.org, pool.agent
    states = Counter(
        "gone" if r.socket is None else "draining" if r.draining else "serving"
        for r in pool.runners.values()
    )
    for state in RUNNER_STATES:
        page.put(RUNNERS, states[state], *name, state)
    page.put(SESSIONS, pool.in_flight, *name, "in_flight")
    page.put(SESSIONS, len(pool.waiting), *name, "queued")
    page.put(CAPACITY, pool.capacity, *name)
    hour = pool.last_hour.totals(now.mono)
    page.put(LAST_HOUR, hour.completed, *name, "completed")
    page.put(LAST_HOUR, hour.failed, *name, "failed")
    page.put(MEAN_SECONDS, hour.mean_s, *name)


def _put_counts(page: Page, pool: Pool) -> None:
    """What happened since the process started. Each reason is there from the first: a series that
    begins at 1 has no increase."""
    name, counters = (pool.org, pool.agent), pool.counters
    page.put(ARRIVALS, counters.arrivals, *name)
    page.put(ANSWERED, counters.answered, *name)
    page.put(LATE, counters.late, *name)
    page.put(COMPLETIONS, counters.completions, *name)
    for reason in _REASONS:
        page.put(REFUSALS, counters.refused_for.get(reason, 0), *name, reason)
    for reason in _END_REASONS:
        page.put(ENDED, counters.ended_for.get(reason, 0), *name, reason)
    # What a runner says of a loss is its own; nobody's words become labels.
    known = {cause: counters.lost_for.get(cause, 0) for cause in LOSSES[:-1]}
    for cause, number in known.items():
        page.put(LOST, number, *name, cause)
    page.put(LOST, sum(counters.lost_for.values()) - sum(known.values()), *name, LOSSES[-1])
