"""The use cases: what every HTTP surface and socket calls. Carries out what the core decides."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from paddock.logs import EventLog
from paddock.protocol import closing, control, features
from paddock.protocol.codec import encode
from paddock.protocol.words import EndReason
from paddock_orchestrator.dispatch.refusal import Reason, Refused
from paddock_orchestrator.journal import Journal
from paddock_orchestrator.keyring import Grant
from paddock_orchestrator.links.outbox import Outbox
from paddock_orchestrator.links.switchboard import Switchboard
from paddock_orchestrator.observe.metrics import Metrics
from paddock_orchestrator.recovery import closed_setting
from paddock_orchestrator.settings import Settings
from paddock_orchestrator.state import effects as fx
from paddock_orchestrator.state.acks import Acks
from paddock_orchestrator.state.book import (
    Book,
    Declared,
    Instant,
    Pool,
    PoolKey,
    Runner,
    RunnerKey,
    Session,
)
from paddock_orchestrator.state.machine import Dispatcher
from paddock_orchestrator.store.errors import StoreError
from paddock_orchestrator.tokens import Tokens

log = logging.getLogger("paddock.orchestrator")

SWEEP_S = 1.0
TICK_S = 0.005
"""How late a deadline may be noticed: most are stale by then, and a look at each costs more."""
ACK_S = 0.02
"""How long an acknowledgement of events may wait for the next one."""
IDEMPOTENCY_MS = 24 * 3_600_000
"""How long a repeated `Idempotency-Key` finds the session it started."""
QUEUE_PUSH_S = 0.25
"""How often runners hear of a queue that changes; its leaving zero is heard at once by poolers."""


def now() -> Instant:
    return Instant(time.monotonic(), time.time_ns() // 1_000_000)


def _random_hex(digits: int) -> Iterator[str]:
    """Random hexadecimal numbers, for a system call to a thousand of them."""
    while True:
        pool = os.urandom(512 * digits).hex()
        for at in range(0, len(pool), digits):
            yield pool[at : at + digits]


_random = _random_hex(18)


def new_session_id() -> str:
    """A UUID of version 7 as text: 72 random bits after the milliseconds since the epoch.

    Ordered by time, because rows appended to an index cost a third of rows scattered over it.
    """
    at, chance = f"{time.time_ns() // 1_000_000:012x}", next(_random)
    return f"{at[:8]}-{at[8:]}-7{chance[:3]}-a{chance[3:6]}-{chance[6:]}"


_Decide = Callable[[Refused | Exception | None], None]


class _Waiting:
    """A start that is not answered yet: done when a runner has it and its row is durable."""

    __slots__ = ("_accepted", "_decide", "_failure", "_recorded", "session")

    def __init__(self, session: Session, decide: _Decide) -> None:
        self.session = session
        self._decide: _Decide | None = decide
        self._accepted = False
        self._recorded = 0
        self._failure: Exception | None = None

    def decided(self, refused: Refused | None) -> None:
        """A runner accepted it, or nobody will have it."""
        if refused is None:
            self._accepted = True
            self._settle()
        elif not self._accepted:
            self._done(refused)

    def recorded(self, attempt: int) -> None:
        """The row of this attempt is durable; an earlier one's says nothing of the present."""
        self._recorded = attempt
        self._settle()

    def not_recorded(self, attempt: int, why: Exception) -> None:
        """The row of this attempt never will be durable."""
        if attempt == self.session.attempt:
            self._failure = why
            self._settle()

    def offered(self) -> None:
        """It is offered anew, and a new row with it."""
        self._failure = None

    def _settle(self) -> None:
        if not self._accepted:
            return
        if self._failure is not None:
            self._done(self._failure)
        elif self._recorded == self.session.attempt:
            self._done(None)

    def _done(self, outcome: Refused | Exception | None) -> None:
        decide, self._decide = self._decide, None
        if decide is not None:
            decide(outcome)


class Orchestrator:
    """The sessions of one process. Every method is called on its event loop."""

    def __init__(
        self,
        settings: Settings,
        dispatcher: Dispatcher,
        journal: Journal,
        tokens: Tokens,
        history: EventLog,
    ) -> None:
        self.settings = settings
        self.dispatcher = dispatcher
        self.journal = journal
        self.tokens = tokens
        self.history = history
        self.metrics = Metrics(self)
        self.switchboard = Switchboard(
            agent_ends=self._agent_ends,
            caller_ends=self._caller_ends,
            caller_grace_s=settings.caller_grace_s,
        )
        self._public_socket_url = "ws" + settings.public_url.rstrip("/").removeprefix("http")
        self.stopping = False
        self._sockets: dict[int, Outbox] = {}
        self._grants: dict[int, Grant] = {}
        """By socket, as `_sockets`."""
        self._runner_urls: dict[RunnerKey, str] = {}
        self._socket_ids = 0
        self._starts: dict[str, _Waiting] = {}
        self._timers = dispatcher.book.timers
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = float("inf")
        self._queues_changed: set[PoolKey] = set()
        self._wakers: set[asyncio.Event] = set()
        self._acks_due: dict[Runner, tuple[Acks, int]] = {}
        self._carry: dict[type, Callable[[Any, Instant], None]] = {
            fx.Send: self._send,
            fx.CloseSocket: self._close_socket,
            fx.Answer: self._answer,
            fx.Offer: self._offer,
            fx.Ended: self._ended,
            fx.AckEvent: self._ack_event,
            fx.EndBridge: lambda e, _: self.switchboard.end(e.session_id, e.reason, e.detail),
            fx.CloseBridge: lambda e, _: self.switchboard.close_runner(
                e.session_id, e.reason, e.detail
            ),
            fx.Note: lambda e, at: self.journal.note(
                e.org, e.kind, e.agent, e.session_id, e.data, at
            ),
            fx.QueueChanged: self._queue_changed,
        }

    @property
    def book(self) -> Book:
        return self.dispatcher.book

    # -- starting ---------------------------------------------------------------------------

    def start(self, session: Session, answer: Callable[[Refused | None], None]) -> None:
        """Place an admitted start. `answer` is called once, in this step or later.

        None: a runner has it and its row is durable.
        """
        session_id = session.session_id

        def decided(outcome: Refused | Exception | None) -> None:
            del self._starts[session_id]
            if outcome is None:
                self.metrics.started(time.monotonic() - session.requested.mono)
                answer(None)
            elif isinstance(outcome, Refused):
                if session.pool.key not in self.book.pools:  # whose counts nobody will see
                    self.metrics.rejected(outcome.reason)
                answer(outcome)
            else:
                why = str(outcome)
                log.warning("start_not_recorded", extra={"session": session_id, "why": why})
                at = now()
                self.apply(self.dispatcher.not_recorded(session, at), at)
                answer(Refused(Reason.STORE_UNAVAILABLE, 5))

        self._starts[session_id] = _Waiting(session, decided)
        self.apply(self.dispatcher.start(session, session.requested), session.requested)

    def caller_left(self, session_id: str) -> None:
        """The caller of a start that is not answered yet went away."""
        at = now()
        self.apply(self.dispatcher.caller_left(session_id, at), at)

    def end(self, session_id: str, reason: str, detail: str) -> None:
        at = now()
        self.apply(self.dispatcher.end(session_id, reason, detail, at), at)

    def _agent_ends(self, session_id: str, reason: str) -> None:
        at = now()
        self.apply(self.dispatcher.agent_ended(session_id, reason, at), at)

    def _caller_ends(self, session_id: str, detail: str) -> None:
        self.end(session_id, EndReason.COMPLETED, detail)

    # -- runners ----------------------------------------------------------------------------

    def socket_opened(self, outbox: Outbox, grant: Grant) -> int:
        """A control socket was opened with the key of `grant`, and lives as long as the key."""
        self._socket_ids += 1
        self._sockets[self._socket_ids] = outbox
        self._grants[self._socket_ids] = grant
        return self._socket_ids

    def close_refused(self) -> None:
        """Close the control sockets whose key was revoked or has expired since.

        Their runners stop coming back. For their sessions a socket was lost: calls go on.
        """
        at_ms = now().wall_ms
        refused = [s for s, grant in self._grants.items() if not grant.is_good(at_ms)]
        holders = {r.socket: r for r in self.book.runners.values()} if refused else {}
        for socket in refused:
            runner, key_id = holders.get(socket), self._grants[socket].key.key_id
            name = runner.runner_id if runner is not None else ""
            log.info("runner_key_refused", extra={"runner": name, "key_id": key_id})
            self._sockets[socket].close(closing.BAD_CREDENTIAL, "the key was revoked or expired")
            self.socket_closed(runner, socket)

    def socket_url(self, host: bytes, scheme: str | None) -> str:
        """`ws(s)://host` by which this peer reaches us: as configured, else as it asked."""
        if self.settings.public_url:
            return self._public_socket_url
        asked = host.decode("latin-1") or f"127.0.0.1:{self.settings.port}"
        return f"{'wss' if scheme in ('https', 'wss') else 'ws'}://{asked}"

    def register(self, org: str, frame: control.Register, socket: int, url: str) -> Runner:
        """A runner registers over `socket`; it reaches us by `url`."""
        self._runner_urls[(org, frame.worker_id)] = url
        at = now()
        runner, effects = self.dispatcher.register(org, frame, socket, at)
        self.apply(effects, at)
        return runner

    def hear(self, runner: Runner, frame: Any) -> None:
        at = now()
        self.apply(self.dispatcher.hear(runner, frame, at), at)

    def socket_closed(self, runner: Runner | None, socket: int) -> None:
        self._sockets.pop(socket, None)
        self._grants.pop(socket, None)
        if runner is not None:
            at = now()
            self.apply(self.dispatcher.socket_lost(runner, socket, at), at)

    def bridge_opened(self, session_id: str, attempt: int) -> None:
        at = now()
        self.apply(self.dispatcher.bridge_opened(session_id, attempt, at), at)

    def bridge_lost(self, session_id: str, attempt: int, *, clean: bool) -> None:
        at = now()
        self.apply(self.dispatcher.bridge_lost(session_id, attempt, clean=clean, now=at), at)

    def command(
        self, org: str, runner_id: str, frame: control.Drain | control.Serve, instance: str
    ) -> bool:
        """Relay it, to a runner whose instance begins with `instance` only."""
        at = now()
        told, effects = self.dispatcher.command((org, runner_id), frame, at, instance=instance)
        self.apply(effects, at)
        return told

    def gone(self, org: str, runner_id: str, instance: str) -> bool:
        """A runner's process is over, says whoever ran it; False when it was not known."""
        known = (org, runner_id) in self.book.runners
        at = now()
        self.apply(self.dispatcher.gone((org, runner_id), at, instance=instance), at)
        return known

    def declare(self, key: PoolKey, declared: Declared) -> Pool:
        at = now()
        self.apply(self.dispatcher.declare(key, declared, at), at)
        return self.book.pools[key]

    def renew(self, org: str, agents: list[str]) -> list[str]:
        """Let what was declared of these pools be good for longer; those where nothing is."""
        at = now()
        return [agent for agent in agents if not self.dispatcher.renew((org, agent), at)]

    async def close_agent(self, pool: Pool) -> None:
        """Block new sessions of the agent, across restarts."""
        pool.closed = True
        await self.journal.store.put_setting(closed_setting(*pool.key), b"1")
        self.journal.note(pool.org, "agent.closed", pool.agent, None, {}, now())

    async def open_agent(self, pool: Pool) -> None:
        pool.closed = False
        await self.journal.store.put_setting(closed_setting(*pool.key), b"")
        self.journal.note(pool.org, "agent.opened", pool.agent, None, {}, now())

    # -- carrying out -----------------------------------------------------------------------

    def apply(self, effects: list[fx.Effect], at: Instant | None = None) -> None:
        """Carry out, in order, the effects of what happened `at` (now, if it is not given).

        Then see to waking up for the next deadline.
        """
        carry, at = self._carry, at or now()
        for effect in effects:
            carry[type(effect)](effect, at)
        next_at = self._timers.next_at
        if next_at is not None and next_at < self._alarm_at:
            self._set_alarm(next_at)

    def _set_alarm(self, at: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        delay_s = max(TICK_S, at - time.monotonic())
        self._alarm_at = at
        self._alarm = asyncio.get_running_loop().call_later(delay_s, self._tick)

    def _tick(self) -> None:
        self._alarm, self._alarm_at = None, float("inf")
        at = now()
        self.apply(self.dispatcher.tick(at), at)

    def _send(self, effect: fx.Send, _: Instant) -> None:
        self._tell(effect.runner, effect.frame)

    def _tell(self, runner: Runner, frame: msgspec.Struct) -> None:
        outbox = self._sockets.get(runner.socket) if runner.socket is not None else None
        if outbox is not None:
            outbox.text(encode(frame))

    def _close_socket(self, effect: fx.CloseSocket, _: Instant) -> None:
        outbox = self._sockets.get(effect.socket)
        if outbox is not None:
            outbox.close(effect.code, effect.reason)

    def _offer(self, effect: fx.Offer, _: Instant) -> None:
        session = effect.session
        runner = session.runner
        if runner is None:
            return
        session_id, attempt, job_id = session.session_id, session.attempt, session.job_id
        frame = control.JobAssign(
            job_id=job_id,
            call_id=session_id,
            agent_id=session.pool.agent.removesuffix("@dev"),
            bridge_url=f"{self._runner_urls.get(runner.key, '')}/v1/bridge/{session_id}",
            call_token=self.tokens.bridge(session_id, attempt),
            assign_id=job_id,
            deadline_ms=int(effect.timeout_s * 1000),
            attempt=attempt if runner.speaks_events else 0,
        )
        self._tell(runner, frame)
        waiting = self._starts.get(session_id)
        if waiting is None:  # nobody waits for it any more
            waiting = _Waiting(session, lambda _: None)
        waiting.offered()
        self.journal.started(
            session,
            lambda: waiting.recorded(attempt),
            lambda why: waiting.not_recorded(attempt, why),
        )

    def _answer(self, effect: fx.Answer, _: Instant) -> None:
        waiting = self._starts.get(effect.session.session_id)
        if waiting is not None:
            waiting.decided(effect.refused)

    def _ended(self, effect: fx.Ended, at: Instant) -> None:
        session, runner, seq = effect.session, effect.runner, effect.seq
        self.metrics.ended(session)
        self.history.line(
            "session_ended",
            session=session.session_id,
            agent=session.pool.agent,
            reason=session.end[0] if session.end else "",
            runner=session.last_runner_id,
        )
        if runner is None:
            self.journal.ended(session, at)
            return
        acks = runner.acks
        acks.heard(seq, durable=False)
        self.journal.ended(session, at, lambda: self._acknowledge(runner, acks, acks.saved(seq)))

    def _ack_event(self, effect: fx.AckEvent, _: Instant) -> None:
        runner, acks = effect.runner, effect.runner.acks
        self._acknowledge(runner, acks, acks.heard(effect.seq, durable=True))

    def _acknowledge(self, runner: Runner, acks: Acks, seq: int) -> None:
        """Acknowledge soon: acknowledgements are cumulative, so one can stand for many."""
        if not runner.speaks_events or runner.acks is not acks:
            return
        if not self._acks_due:
            asyncio.get_running_loop().call_later(ACK_S, self._send_acks)
        self._acks_due[runner] = (acks, seq)

    def _send_acks(self) -> None:
        due, self._acks_due = self._acks_due, {}
        for runner, (acks, seq) in due.items():
            if runner.acks is acks:
                self._tell(runner, control.EventsAck(seq=seq))

    def _queue_changed(self, effect: fx.QueueChanged, _: Instant) -> None:
        self._queues_changed.add(effect.pool_key)
        if effect.left_zero:
            for waker in self._wakers:
                waker.set()

    def wakers(self) -> set[asyncio.Event]:
        """Events set at once when a pool's queue leaves zero."""
        return self._wakers

    def push_queues(self) -> None:
        """Tell runners that asked how many starts wait for their pool."""
        changed, self._queues_changed = self._queues_changed, set()
        for key in changed:
            pool = self.book.pools[key]
            frame = control.PoolQueued(queued=len(pool.waiting))
            for runner in pool.runners.values():
                if features.QUEUED in runner.features:
                    self._tell(runner, frame)

    # -- running ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Sweep, checkpoint and push until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._every(SWEEP_S, self._sweep))
            group.create_task(self._every(QUEUE_PUSH_S, self.push_queues))
            group.create_task(self._every(self.settings.checkpoint_s, self._checkpoint))
            group.create_task(self._prune())

    async def _every(self, period_s: float, do: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(period_s)
            do()

    def _sweep(self) -> None:
        at = now()
        self.apply(self.dispatcher.sweep(at), at)
        self.close_refused()
        if len(self._runner_urls) > 2 * len(self.book.runners) + 16:
            known = self.book.runners
            self._runner_urls = {k: v for k, v in self._runner_urls.items() if k in known}

    def _checkpoint(self) -> None:
        self.journal.checkpoint(self.book.dirty)

    async def _prune(self) -> None:
        while True:
            before_ms = now().wall_ms - int(self.settings.retention_days * 86_400_000)
            try:
                await self.journal.store.prune(before_ms)
                await self.journal.store.expire_idempotency(now().wall_ms - IDEMPOTENCY_MS)
            except StoreError as why:
                log.warning("prune_failed", extra={"why": str(why)})
            await asyncio.sleep(3600.0)

    def stop(self) -> None:
        """Refuse new starts and tell every socket to come again. Sessions live on in runners."""
        self.stopping = True
        while self.book.dirty:
            self._checkpoint()
        self.journal.dismiss_followers()
        self.switchboard.close_all()
        for outbox in list(self._sockets.values()):
            outbox.close(closing.RESTART, "restart")
        if self._alarm is not None:
            self._alarm.cancel()
