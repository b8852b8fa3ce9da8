"""The one writer of a PostgreSQL: commits in groups, on the loop.

The pod and its disk may be gone tomorrow, so what is durable is durable in the database: no commit
log. Invariants:
* What was kept is committed when its `on_commit` runs, in the order in which it was kept.
* While one group is committed the next one gathers. A group is one transaction in one round trip.
* A group whose outcome is unknown is run again once its session is certainly over: running it twice
  is running it once.
* When the database fails, what somebody waits for fails at once; what nobody waits for is kept,
  within the queue's bound, and committed when it is back.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import psycopg

from paddock_orchestrator.store.errors import (
    StoreClosed,
    StoreError,
    StoreTaken,
    StoreUnavailable,
)
from paddock_orchestrator.store.postgres.arrays import Step, steps
from paddock_orchestrator.store.postgres.connecting import Connection, answered_within
from paddock_orchestrator.store.postgres.failures import (
    environment_failure,
    is_environment,
    record_failure,
)
from paddock_orchestrator.store.postgres.tenure import Tenure
from paddock_orchestrator.store.records import StoreHealth
from paddock_orchestrator.store.sides import LAZY_S, PROBE_S
from paddock_orchestrator.store.statements import Row

_IDLE_S = 5.0
"""How long a silent database goes unasked."""
_MAX_ROWS = 1024
"""In one transaction, about."""

_Work = Callable[[Connection], Awaitable[list[int]]]

_log = logging.getLogger(__name__)


class _Kept(msgspec.Struct, frozen=True, gc=False):
    rows: Sequence[Row]
    on_commit: Callable[[], None] | None
    on_failure: Callable[[Exception], None] | None
    lazily: bool


class _Asked(msgspec.Struct, frozen=True):
    """Rows whose effect somebody awaits."""

    rows: Sequence[Row]
    future: asyncio.Future[list[int]]


class Writer:
    """Keeps what it is given (`store.sides.Writer`). Create it inside the loop."""

    def __init__(self, tenure: Tenure, *, timeout_s: float, max_queue: int) -> None:
        self._tenure = tenure
        self._timeout_s = timeout_s
        self._max_queue = max_queue
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Kept | _Asked] = deque()
        self._unresolved = 0
        self._wake = asyncio.Event()
        self._wake_later: asyncio.TimerHandle | None = None
        self._taken: asyncio.Future[StoreTaken] = self._loop.create_future()
        self._closed = False
        self._failure: StoreError | None = None
        self._commit_s = 0.0
        self._commits = 0
        self._submissions = 0
        self._task = self._loop.create_task(self._run(), name="store-writer")

    def keep(
        self,
        rows: Sequence[Row],
        on_commit: Callable[[], None] | None = None,
        on_failure: Callable[[Exception], None] | None = None,
        *,
        lazily: bool = False,
    ) -> None:
        refused = self._refusal(self._max_queue, despite_failure=lazily)
        if refused is not None:
            if on_failure is not None:
                on_failure(refused)
            return
        self._unresolved += 1
        self._waiting.append(_Kept(rows, on_commit, on_failure, lazily))
        if self._failure is not None:
            return
        if not lazily:
            self._wake.set()
        elif self._wake_later is None:
            self._wake_later = self._loop.call_later(LAZY_S, self._wake.set)

    def run(self, rows: Sequence[Row]) -> asyncio.Future[list[int]]:
        future: asyncio.Future[list[int]] = self._loop.create_future()
        refused = self._refusal(2 * self._max_queue, despite_failure=False)
        if refused is not None:
            future.set_exception(refused)
            return future
        self._unresolved += 1
        self._waiting.append(_Asked(rows, future))
        self._wake.set()
        return future

    async def settled(self) -> None:
        if self._unresolved:
            with contextlib.suppress(StoreError):
                await self.run(())

    @property
    def ok(self) -> bool:
        return self._failure is None

    def health(self) -> StoreHealth:
        return StoreHealth(
            ok=self._failure is None,
            failure=str(self._failure or ""),
            queued=self._unresolved,
            commit_s=self._commit_s,
            commits=self._commits,
            submissions=self._submissions,
        )

    async def taken(self) -> StoreTaken:
        return await asyncio.shield(self._taken)

    async def close(self) -> None:
        self._closed = True
        self._wake.set()
        await asyncio.shield(self._task)
        await self._tenure.drop()

    def _refusal(self, limit: int, *, despite_failure: bool) -> StoreError | None:
        if self._closed:
            return StoreClosed("the store is closed")
        if self._failure is not None and (not despite_failure or self._taken.done()):
            return self._failure
        if self._unresolved >= limit:
            return StoreUnavailable(
                "the store's queue is full", expected=f"fewer than {limit} waiting"
            )
        return None

    async def _run(self) -> None:
        while not self._taken.done():
            await self._woken()
            await self._step()
            if self._closed and (self._failure is not None or not self._waiting):
                break
        self._give_up(self._failure or StoreClosed("the store is closed"))

    async def _woken(self) -> None:
        """Return when there is something to do, or it is time to see how the database is."""
        if self._closed:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_IDLE_S if self._failure is None else PROBE_S):
                await self._wake.wait()

    async def _step(self) -> None:
        """Commit a group, or do one thing that was asked; with neither, ask for a sign of life."""
        self._wake.clear()
        if self._wake_later is not None:
            self._wake_later.cancel()
            self._wake_later = None
        item = self._waiting[0] if self._waiting else None
        if isinstance(item, _Asked):
            self._waiting.popleft()
            await self._do(item)
        else:
            await self._commit(self._group())
        if self._waiting and self._failure is None:
            self._wake.set()

    def _group(self) -> list[_Kept]:
        group, rows = [], 0
        while self._waiting and rows < _MAX_ROWS:
            item = self._waiting[0]
            if isinstance(item, _Asked):
                break
            self._waiting.popleft()
            group.append(item)
            rows += len(item.rows)
        return group

    async def _commit(self, group: list[_Kept]) -> None:
        rows = [row for kept in group for row in kept.rows]
        try:
            await self._attempt(lambda connection: _write(connection, rows))
        except Exception as error:  # whatever it is, it must reach who waits, not end the task
            self._waiting.extendleft(reversed(group))
            self._failed(error)
            return
        self._succeeded(len(group))
        for kept in group:
            if kept.on_commit is not None:
                self._tell(kept.on_commit)

    async def _do(self, asked: _Asked) -> None:
        counts: list[int] = []
        try:
            if asked.rows:
                counts = await self._attempt(lambda connection: _do(connection, asked.rows))
        except Exception as error:
            if is_environment(error) or isinstance(error, StoreError):
                self._waiting.appendleft(asked)
                self._failed(error)
                return
            self._unresolved -= 1
            if not asked.future.done():
                asked.future.set_exception(record_failure(error))
            return
        self._succeeded(1)
        if not asked.future.done():
            asked.future.set_result(counts)

    async def _attempt(self, work: _Work) -> list[int]:
        """Do the work, and once more if the session turns out to be gone.

        Raises `StoreTaken`, and the failure of the environment or of the record.
        """
        fresh = not self._tenure.connected
        try:
            return await self._once(work)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            if fresh or self._tenure.connected:
                raise
        return await self._once(work)

    async def _once(self, work: _Work) -> list[int]:
        began = time.perf_counter()
        try:
            connection = await self._tenure.connection()
            with answered_within(connection, self._timeout_s):
                return await work(connection)
        except Exception as error:
            if is_environment(error):
                await self._tenure.drop()
            raise
        finally:
            self._commit_s = time.perf_counter() - began

    def _succeeded(self, submissions: int) -> None:
        if self._failure is not None:
            _log.info("store_recovered")
        self._failure = None
        self._unresolved -= submissions
        self._commits += 1
        self._submissions += submissions

    def _failed(self, error: Exception) -> None:
        """Tell who waits for an answer, and keep the rest, in its order."""
        taken = isinstance(error, StoreTaken)
        failure = error if taken else environment_failure(error, self._tenure.address.name)
        assert isinstance(failure, StoreError)
        if self._failure is None or taken:
            _log.error("store_unavailable", extra={"error": str(failure)})
        self._failure = failure
        if isinstance(error, StoreTaken) and not self._taken.done():
            self._taken.set_result(error)
        waiting, self._waiting = self._waiting, deque()
        for item in waiting:
            if isinstance(item, _Kept) and item.lazily:
                self._waiting.append(item)
            else:
                self._unresolved -= 1
                self._fail(item, failure)

    def _give_up(self, why: StoreError) -> None:
        """Nothing more will be committed."""
        if self._waiting:
            _log.error("records_lost", extra={"count": len(self._waiting), "why": str(why)})
        while self._waiting:
            self._unresolved -= 1
            self._fail(self._waiting.popleft(), why)

    def _fail(self, item: _Kept | _Asked, why: StoreError) -> None:
        if isinstance(item, _Asked):
            if not item.future.done():
                item.future.set_exception(why)
        elif item.on_failure is not None:
            on_failure = item.on_failure
            self._tell(lambda: on_failure(why))

    def _tell(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception as raised:
            told = {"message": "a store's callback raised", "exception": raised}
            self._loop.call_exception_handler(told)


async def _write(connection: Connection, rows: Sequence[Row]) -> list[int]:
    """Commit the rows, together if none is bad. Raises the environment's failures only."""
    try:
        await _run_together(connection, steps(rows))
    except Exception as error:
        if is_environment(error):
            raise
        await connection.rollback()
        await _run_one_by_one(connection, rows)
    return []


async def _run_together(connection: Connection, together: Sequence[Step]) -> None:
    async with connection.pipeline():
        await connection.execute("BEGIN")
        for sql, arrays in together:
            await connection.execute(sql, arrays, prepare=True)
        await connection.execute("COMMIT")


async def _run_one_by_one(connection: Connection, rows: Sequence[Row]) -> None:
    """The rows in one transaction, those left out that can never be kept: a mistake of ours."""
    async with connection.transaction():
        for row in rows:
            try:
                async with connection.transaction():
                    for sql, arrays in steps([row]):
                        await connection.execute(sql, arrays)
            except Exception as error:
                if is_environment(error):
                    raise
                _log.error("row_rejected", extra={"why": str(record_failure(error))})


async def _do(connection: Connection, rows: Sequence[Row]) -> list[int]:
    """What each of the rows changed."""
    async with connection.transaction():
        return [
            (await connection.execute(sql.replace("?", "%s"), values)).rowcount
            for sql, values in rows
        ]
