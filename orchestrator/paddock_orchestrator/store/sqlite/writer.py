"""The one writer: appends to the commit log on the loop, and brings the database after it.

A thread owns the only writing connection. Invariants:
* What was kept is durable when its `on_commit` runs, and reaches the database in the order in which
  it was kept, exactly once: each commit carries the number of the last entry that it holds.
* What one turn of the loop keeps is one entry of the log. What nobody waits for is held back for
  `LAZY_S`, or until something urgent goes.
* A database that is far behind is waited for, so that those who keep more than it can take are
  slowed down and not refused. One that fails is not: what ends meanwhile must be durable.
* A failing database delays entries and loses none; what asks for a result fails at once.
* The loop never waits for the thread: a full queue refuses at once.
"""

import asyncio
import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

import msgspec

from paddock_orchestrator.store.errors import (
    StoreClosed,
    StoreError,
    StoreTaken,
    StoreUnavailable,
)
from paddock_orchestrator.store.records import StoreHealth
from paddock_orchestrator.store.sides import LAZY_S, PROBE_S
from paddock_orchestrator.store.sqlite.checkpointer import Checkpointer, give_way
from paddock_orchestrator.store.sqlite.commitlog import CommitLog
from paddock_orchestrator.store.sqlite.failures import (
    environment_failure,
    is_environment,
    needs_new_connection,
    record_failure,
)
from paddock_orchestrator.store.sqlite.replay import apply, set_applied
from paddock_orchestrator.store.sqlite.together import apply_together
from paddock_orchestrator.store.statements import Row

GATHER_S = 0.25
"""How long the database lags behind the log, so that it is told much at once."""

_MAX_TOLD = 500
"""In one turn of the loop: what waited for the database would hold up everything else."""
_MAX_ROWS = 8192
"""In one transaction, about."""
_CHECKPOINT_PAGES = 65_536
"""256 MiB of write-ahead log before a commit moves it itself: the checkpointer comes before."""

_log = logging.getLogger(__name__)


class _Kept(msgspec.Struct, frozen=True, gc=False):
    rows: Sequence[Row]
    on_commit: Callable[[], None] | None
    on_failure: Callable[[Exception], None] | None


class _Entry(msgspec.Struct, frozen=True):
    """What stands in the log and not yet in the database."""

    number: int
    rows: Sequence[Row]
    kept: int


class _Asked(msgspec.Struct, frozen=True):
    """Rows whose effect somebody awaits."""

    rows: Sequence[Row]
    future: asyncio.Future[list[int]]


_Outcome = tuple[list[int], Exception | None]


class Writer:
    """Keeps what the loop's thread gives it (`store.sides.Writer`). Create it inside the loop."""

    def __init__(
        self,
        path: Path,
        log: CommitLog,
        *,
        busy_timeout_s: float = 5.0,
        max_queue: int = 16_384,
    ) -> None:
        self._path = path
        self._log = log
        self._busy_timeout_s = busy_timeout_s
        self._max_queue = max_queue
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Entry | _Asked | None] = SimpleQueue()
        self._urgent = threading.Event()
        self._held: list[_Kept] = []
        self._append_soon = False
        self._append_later: asyncio.TimerHandle | None = None
        self._unresolved = 0
        self._lag = 0
        """How much of it is in the log and not yet, as far as the loop knows, in the database."""
        self._closed = False
        self._connection: sqlite3.Connection | None = None
        self._behind: list[_Entry] = []
        """The thread's: entries that the database has not taken yet."""
        self._more = False
        """The thread's: more was there than it took."""
        self._log_failure = ""
        self._failure = ""
        self._commit_s = 0.0
        self._commits = 0
        self._submissions = 0
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()
        self._checkpointer = Checkpointer(path)

    def keep(
        self,
        rows: Sequence[Row],
        on_commit: Callable[[], None] | None = None,
        on_failure: Callable[[Exception], None] | None = None,
        *,
        lazily: bool = False,
    ) -> None:
        """Make `rows` durable by the end of this turn of the loop; `lazily`: within `LAZY_S`. Later
        while the database is half a queue behind.

        One of the two is called on the loop; `on_failure` at once if the queue is full or the
        writer is stopped. Who reads the database finds the rows after `settled`.
        """
        refused = self._refusal(self._max_queue)
        if refused is not None:
            if on_failure is not None:
                on_failure(refused)
            return
        self._unresolved += 1
        self._held.append(_Kept(rows, on_commit, on_failure))
        if not lazily:
            if not self._append_soon:
                self._append_soon = True
                self._loop.call_soon(self._append_in_time)
        elif self._append_later is None and not self._append_soon:
            self._append_later = self._loop.call_later(LAZY_S, self._append_in_time)

    def run(self, rows: Sequence[Row]) -> asyncio.Future[list[int]]:
        """Run `rows` together, after all that was kept before.

        How many rows of the database each of them changed, once committed. Fails with
        `StoreUnavailable`, `StoreClosed` or `RecordRejected`.
        """
        future: asyncio.Future[list[int]] = self._loop.create_future()
        refused = self._refusal(2 * self._max_queue)
        if refused is not None:
            future.set_exception(refused)
            return future
        self._append()
        self._unresolved += 1
        self._queue.put(_Asked(rows, future))
        self._urgent.set()
        return future

    async def settled(self) -> None:
        """Return once the database has all that was kept before, or cannot take it now."""
        if self._unresolved:
            with contextlib.suppress(StoreError):
                await self.run(())

    @property
    def ok(self) -> bool:
        """Whether what is kept now would become durable, and reach the database."""
        return not self._failure and not self._log_failure

    def health(self) -> StoreHealth:
        """How the writer is doing. Callable from any thread."""
        failure = self._log_failure or self._failure
        return StoreHealth(
            ok=not failure,
            failure=failure,
            queued=self._unresolved,
            commit_s=self._commit_s,
            commits=self._commits,
            submissions=self._submissions,
        )

    async def taken(self) -> StoreTaken:
        """Never: the file is this process's for as long as it lives."""
        never: asyncio.Future[StoreTaken] = self._loop.create_future()
        return await never

    async def close(self) -> None:
        """Take no more. What was kept still reaches the database, or the next start replays it."""
        if not self._closed:
            self._append()
            self._closed = True
            self._queue.put(None)
            self._urgent.set()
        self._checkpointer.stop()
        await asyncio.to_thread(self._checkpointer.join)
        await asyncio.to_thread(self._thread.join)

    def _refusal(self, limit: int) -> Exception | None:
        if self._closed:
            return StoreClosed("the store is closed")
        if self._unresolved >= limit:
            return StoreUnavailable(
                "the store's queue is full", expected=f"fewer than {limit} waiting"
            )
        return None

    def _append_in_time(self) -> None:
        """Append, or leave it to `_resolve` when the database is far behind."""
        self._append_soon = False
        if self._append_later is not None:
            self._append_later.cancel()
            self._append_later = None
        if self._failure or self._lag < self._max_queue // 2:
            self._append(_MAX_TOLD)
            if self._held:
                self._append_soon = True
                self._loop.call_soon(self._append_in_time)

    def _append(self, most: int | None = None) -> None:
        """Make what is held durable, the first `most` of it, and tell."""
        held = self._held[:most]
        self._held = self._held[len(held) :]
        if not held:
            return
        rows = [row for kept in held for row in kept.rows]
        try:
            number = self._log.append(rows)
        except OSError as error:
            self._unresolved -= len(held)
            self._not_appended(error)
            why = environment_failure(error)
            for kept in held:
                if kept.on_failure is not None:
                    self._tell(partial(kept.on_failure, why))
            return
        self._lag += len(held)
        self._queue.put(_Entry(number, rows, len(held)))
        for kept in held:
            if kept.on_commit is not None:
                self._tell(kept.on_commit)

    def _tell(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception as raised:
            told = {"message": "a store's callback raised", "exception": raised}
            self._loop.call_exception_handler(told)

    def _not_appended(self, error: OSError) -> None:
        if not self._log_failure:
            _log.error("store_unavailable", extra={"error": str(error)})
            self._loop.call_later(PROBE_S, self._probe_log)
        self._log_failure = str(error)

    def _probe_log(self) -> None:
        """Find out whether a failure's cause is gone, since callers hold back until it is."""
        if self._closed:
            return
        try:
            number = self._log.append(())
        except OSError as error:
            self._log_failure = str(error)
            self._loop.call_later(PROBE_S, self._probe_log)
        else:
            self._queue.put(_Entry(number, (), 0))
            self._log_failure = ""
            _log.info("store_recovered")

    # The thread's side.

    def _run(self) -> None:
        give_way()
        stopping = False
        while not stopping:
            asked, stopping = self._take()
            self._commit(asked)
        self._log.close()
        if not self._behind:
            self._log.forget(self._log.last)
        self._disconnect(optimize=True)

    def _take(self) -> tuple[list[_Asked], bool]:
        """Wait for something, then take all that comes with it; True with the last."""
        asked: list[_Asked] = []
        try:
            item = self._queue.get(timeout=PROBE_S if self._failure else None)
        except Empty:
            return asked, False
        if not self._more:
            self._urgent.wait(GATHER_S)
        self._urgent.clear()
        self._more = False
        rows = 0
        with contextlib.suppress(Empty):
            while item is not None:
                if isinstance(item, _Asked):
                    asked.append(item)
                else:
                    self._behind.append(item)
                    rows += len(item.rows)
                if rows >= _MAX_ROWS:
                    self._more = True
                    return asked, False
                item = self._queue.get_nowait()
            return asked, True
        return asked, False

    def _commit(self, asked: list[_Asked]) -> None:
        began = time.perf_counter()
        entries, kept = self._behind, 0
        try:
            outcomes = self._transact(entries, asked)
        except Exception as error:  # whatever it is, it must reach who asked, not end the thread
            self._failed(error)
            outcomes = [([], environment_failure(error)) for _ in asked]
        else:
            kept = sum(entry.kept for entry in entries)
            self._succeeded(kept + len(asked))
            if entries:
                self._log.forget(entries[-1].number)
                self._behind = []
        self._commit_s = time.perf_counter() - began
        # Raises when the loop has been closed: nobody is left to be told.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._resolve, kept, asked, outcomes)

    def _transact(self, entries: list[_Entry], asked: list[_Asked]) -> list[_Outcome]:
        """Commit both; the outcomes of what was asked. Raises the environment's failures only."""
        connection = self._connect()
        connection.execute("BEGIN IMMEDIATE")
        try:
            if entries:
                rows = [row for entry in entries for row in entry.rows]
                _apply_all(connection, rows)
                set_applied(connection, entries[-1].number)
            outcomes = [_done(connection, one.rows) for one in asked]
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return outcomes

    def _resolve(self, kept: int, asked: list[_Asked], outcomes: list[_Outcome]) -> None:
        self._unresolved -= kept + len(asked)
        self._lag -= kept
        if self._held:
            self._append_in_time()
        for one, (counts, error) in zip(asked, outcomes, strict=True):
            if one.future.done():
                continue
            if error is None:
                one.future.set_result(counts)
            else:
                one.future.set_exception(error)

    def _succeeded(self, submissions: int) -> None:
        if self._failure:
            _log.info("store_recovered")
        self._failure = ""
        self._commits += 1
        self._submissions += submissions

    def _failed(self, error: Exception) -> None:
        if not self._failure:
            _log.error("store_unavailable", extra={"error": str(error)})
        self._failure = str(error) or type(error).__name__
        if needs_new_connection(error):
            self._disconnect()

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            # No statement begins a transaction by itself, and no missing file is made up.
            connection = sqlite3.connect(
                f"{self._path.as_uri()}?mode=rw",
                uri=True,
                timeout=self._busy_timeout_s,
                isolation_level=None,
            )
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
            self._connection = connection
        return self._connection

    def _disconnect(self, *, optimize: bool = False) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                if optimize:
                    connection.execute("PRAGMA optimize")
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def _apply_all(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Run the rows, together if none is bad."""
    connection.execute("SAVEPOINT together")
    try:
        apply_together(connection, rows)
    except Exception as error:
        if is_environment(error):
            raise
        connection.execute("ROLLBACK TO together")
        apply(connection, rows)
    connection.execute("RELEASE together")


def _done(connection: sqlite3.Connection, rows: Sequence[Row]) -> _Outcome:
    """What each of the rows changed, or their failure, which takes nothing else with it."""
    connection.execute("SAVEPOINT one")
    try:
        counts = [connection.execute(sql, values).rowcount for sql, values in rows]
    except Exception as error:
        if is_environment(error):
            raise
        connection.execute("ROLLBACK TO one")
        connection.execute("RELEASE one")
        return [], record_failure(error)
    connection.execute("RELEASE one")
    return counts, None
