"""What one orchestrator process knows: pools, runners, sessions. Plain data with its invariants.

Single writer: only the functions of this package change it, always through `machine.Dispatcher`.
"""

import re
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from paddock.protocol import control, features
from paddock.protocol.permits import Permits
from paddock_orchestrator.dispatch.placement import Placement, PlacementIndex
from paddock_orchestrator.dispatch.refusal import Attempt
from paddock_orchestrator.state.acks import Acks
from paddock_orchestrator.state.effects import Effect
from paddock_orchestrator.state.last_hour import LastHour
from paddock_orchestrator.state.timers import Timers


class Instant(msgspec.Struct, frozen=True, gc=False):
    """One reading of both clocks: deadlines use `mono`, records use `wall_ms`."""

    mono: float
    wall_ms: int


class Stage(StrEnum):
    """Where a session is; the public states plus `offered`."""

    QUEUED = "queued"
    OFFERED = "offered"
    ASSIGNED = "assigned"
    ACTIVE = "active"
    ENDING = "ending"
    ENDED = "ended"


PUBLIC_STATE = {
    Stage.QUEUED: "queued",
    Stage.OFFERED: "queued",
    Stage.ASSIGNED: "assigned",
    Stage.ACTIVE: "active",
    Stage.ENDING: "ending",
    Stage.ENDED: "ended",
}


class Bridge(StrEnum):
    NONE = "none"
    OPEN = "open"
    LOST = "lost"


AGENT = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(@dev)?\Z")
"""What an agent may be called."""
LONGEST_NAME = 253
"""Characters of a runner's name: as many as a pod's may have."""

PoolKey = tuple[str, str]
"""(organization, agent)"""
RunnerKey = tuple[str, str]
"""(organization, runner id)"""


class Session(msgspec.Struct, eq=False):
    """Compared and hashed by identity. A struct, because one is made for every start."""

    session_id: str
    pool: "Pool"
    requested: Instant
    max_duration_s: float
    call: bytes
    data: bytes | None
    """The caller's `body`; None once the runner has it."""
    idempotency_key: str | None = None
    body_digest: bytes | None = None
    stage: Stage = Stage.QUEUED
    attempt: int = 0
    """Fencing number: grows with each offer; only the highest may run."""
    runner: "Runner | None" = None
    refused_by: tuple[Attempt, ...] = ()
    counted_attempts: int = 0
    wait_until: float = 0.0
    waited: bool = False
    assigned_ms: int | None = None
    started_ms: int | None = None
    ended_ms: int | None = None
    torn_down_ms: int | None = None
    bridge: Bridge = Bridge.NONE
    """Of the present attempt."""
    orphaned_at: float | None = None
    wanted_end: tuple[str, str] | None = None
    """(reason, detail) decided by somebody else than the runner; it wins over the runner's word."""
    end: tuple[str, str] | None = None
    last_runner_id: str = ""
    last_instance: str = ""
    """Who held it, kept after the slot is free."""
    recorded: bool = False
    refused: bool = False
    """Its caller got no session: a retry with its idempotency key is a new start."""
    dirty: bool = False
    """Changed since it was last recorded; a checkpoint will write it."""

    @property
    def job_id(self) -> str:
        return f"{self.session_id}.{self.attempt}"

    @property
    def holds_slot(self) -> bool:
        return self.runner is not None and self.stage is not Stage.ENDED


@dataclass(slots=True, eq=False)
class Runner:
    org: str
    runner_id: str
    pool: "Pool"
    order: int
    instance: str = ""
    socket: int | None = None
    features: frozenset[str] = frozenset()
    capacity: int = 0
    revision: str = ""
    startup_ms: int | None = None
    registered_ms: int = 0
    held: dict[str, Session] = field(default_factory=dict)
    ghosts: dict[str, str] = field(default_factory=dict)
    """job id -> session id of offers we gave up on and the runner has not answered for."""
    reported: int = 0
    """`active_jobs` of the newest heartbeat."""
    last_seen: float = 0.0
    suspect: bool = False
    draining: bool = False
    drain_epoch: int = 0
    told: control.Drain | control.Serve | None = None
    """The reconciler's last command; sent again while the runner's word is older."""
    acks: Acks = field(default_factory=Acks)
    report: tuple[int, str, int] | None = None
    """(drain_epoch, mode, booked) as this instance last said."""
    benched_until: float = 0.0
    wait_for_heartbeat: bool = False
    failures: deque[float] = field(default_factory=deque)
    permits: Permits | None = None
    disconnected_at: float | None = None

    @property
    def key(self) -> RunnerKey:
        return (self.org, self.runner_id)

    @property
    def told_epoch(self) -> int:
        return self.told.drain_epoch if self.told is not None else 0

    @property
    def obeying(self) -> bool:
        """Whether the runner's word about draining is as new as its last command."""
        return self.drain_epoch >= self.told_epoch

    @property
    def speaks_events(self) -> bool:
        return features.EVENTS in self.features

    @property
    def used(self) -> int:
        """Slots taken. A runner that frees slots silently is believed over our own count."""
        own = len(self.held) + len(self.ghosts)
        return own if features.EVENTS in self.features else max(own, self.reported)


@dataclass(frozen=True, slots=True)
class Declared:
    """What the reconciler of the pool says about it; valid until its time to live is over."""

    max_slots: int = 0
    growable: bool = False
    starting: int = 0
    placement: Placement = Placement.PACKED
    queue_timeout_s: float = 30.0
    max_queued: int = 100
    wait_at_maximum: bool = False
    max_duration_s: float = 7200.0
    revision: str = ""
    desired: int = 0
    reason: str = ""
    status: bytes = b"{}"
    """JSON for people: passed through to `paddock status` and `top`."""


@dataclass(slots=True)
class Counters:
    """Since this process started. They only grow."""

    arrivals: int = 0
    completions: int = 0
    answered: int = 0
    late: int = 0
    refusals: int = 0
    refused_for: dict[str, int] = field(default_factory=dict)
    ended_for: dict[str, int] = field(default_factory=dict)
    lost_for: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Pool:
    org: str
    agent: str
    index: PlacementIndex = field(default_factory=PlacementIndex)
    runners: dict[str, Runner] = field(default_factory=dict)
    waiting: deque[Session] = field(default_factory=deque)
    declared: Declared = field(default_factory=Declared)
    declared_until: float = 0.0
    closed: bool = False
    counters: Counters = field(default_factory=Counters)
    last_hour: LastHour = field(default_factory=LastHour)
    startups_ms: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=50))
    """(sequence, milliseconds) of the latest start-ups."""

    @property
    def key(self) -> PoolKey:
        return (self.org, self.agent)

    @property
    def in_flight(self) -> int:
        return sum(r.used for r in self.runners.values())

    @property
    def capacity(self) -> int:
        """Slots of connected runners that take sessions."""
        return sum(
            r.capacity for r in self.runners.values() if r.socket is not None and not r.draining
        )

    def live(self, now: float) -> bool:
        """Whether a reconciler vouches for the pool."""
        return now < self.declared_until

    @property
    def was_used(self) -> bool:
        """Whether there is more to it than its name."""
        used = self.runners or self.waiting or self.declared_until or self.closed
        return bool(used) or self.counters != Counters()


@dataclass(frozen=True, slots=True)
class Limits:
    """Times and bounds of dispatch. Seconds."""

    offer_timeout_s: float = 2.0
    max_attempts: int = 3
    heartbeat_s: int = 5
    suspect_after_s: float = 15.0
    drop_after_s: float = 25.0
    orphan_grace_s: float = 30.0
    end_timeout_s: float = 10.0
    cancel_timeout_s: float = 5.0
    bench_s: float = 30.0
    late_after_s: float = 0.5
    pool_ttl_s: float = 30.0


KEEP_OVER = 1000
KEEP_POOLS = 1000
"""Beyond this many, pools that were never used go with their last runner."""


class Book:
    """All of it. `effects` collects what a step wants done."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.pools: dict[PoolKey, Pool] = {}
        self.runners: dict[RunnerKey, Runner] = {}
        self.sessions: dict[str, Session] = {}
        self.timers = Timers()
        self.effects: list[Effect] = []
        self.recover_until: float = 0.0
        self.dirty: set[Session] = set()
        self.over: deque[str] = deque(maxlen=KEEP_OVER)
        """Instances of which their reconciler has said that they are over, the newest last."""
        self._order = 0

    def next_order(self) -> int:
        self._order += 1
        return self._order

    def pool(self, key: PoolKey) -> Pool:
        """The pool, made when it is first heard of."""
        pool = self.pools.get(key)
        if pool is None:
            pool = self.pools[key] = Pool(*key)
        return pool

    def find_pool(self, key: PoolKey) -> Pool:
        """The pool, or an empty one that is not remembered: asking for an agent makes none."""
        return self.pools.get(key) or Pool(*key)

    def recovering(self, now: Instant) -> bool:
        """After a restart, while sessions are waited for: what is missing may yet come back."""
        if now.mono >= self.recover_until:
            return False
        return any(s.orphaned_at is not None for s in self.sessions.values())

    def validate(self) -> None:
        """Raise AssertionError if an invariant is broken. Called after each step in tests."""
        for session in self.sessions.values():
            assert session.stage is not Stage.ENDED, session
            if session.stage is Stage.QUEUED:
                assert session.runner is None, session
                assert session in session.pool.waiting, session
            else:
                assert session.runner is not None, session
                assert session.runner.held.get(session.session_id) is session, session
                assert session.attempt > 0, session
        for pool in self.pools.values():
            assert len(set(map(id, pool.waiting))) == len(pool.waiting)
            for waiting in pool.waiting:
                assert self.sessions.get(waiting.session_id) is waiting
        for runner in self.runners.values():
            assert runner.pool.runners.get(runner.runner_id) is runner
            for held in runner.held.values():
                assert self.sessions.get(held.session_id) is held, held
                assert held.runner is runner
