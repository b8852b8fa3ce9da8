"""The one writer: a thread that owns the only writing connection and commits in groups.

Invariants:
* Submissions are committed in the order in which they were submitted, each one whole or not at all.
* What one turn of the loop submits is handed to the thread together: a hand-over costs a switch
  between threads, and several submissions of one start cost one. What nobody waits for is held
  back for `LAZY_S`, or until something urgent goes.
* A future resolves, and its `on_commit` runs, only after the commit.
* The loop never waits for the thread: a full queue refuses at once.
"""

import asyncio
import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal, TypeVar

import msgspec

from paddock_orchestrator.store.errors import StoreClosed, StoreUnavailable
from paddock_orchestrator.store.failures import (
    environment_failure,
    is_environment,
    needs_new_connection,
    record_failure,
)
from paddock_orchestrator.store.records import StoreHealth

T = TypeVar("T")

Row = tuple[str, tuple[Any, ...]]
"""A statement and its parameters. Equal statements should be one object: runs are found by it."""
Task = Callable[[sqlite3.Connection], T]
"""Statements whose result is wanted, run inside the batch's transaction; must not commit."""
Synchronous = Literal["NORMAL", "FULL"]

_log = logging.getLogger(__name__)

_PROBE_INTERVAL_S = 1.0
_CHECKPOINT_PAGES = 65_536
"""256 MiB of log before a commit moves it itself: the checkpointer should have come before."""
_PROBE = (
    "INSERT INTO settings (name, value) VALUES ('store.probe', ?)"
    " ON CONFLICT (name) DO UPDATE SET value=excluded.value"
)


LAZY_S = 0.02
"""How long a submission that nobody waits for may wait for company."""


class _Submission(msgspec.Struct, frozen=True):
    rows: Sequence[Row]
    task: Task[Any] | None
    future: asyncio.Future[Any] | None
    on_commit: Callable[[], None] | None
    on_failure: Callable[[Exception], None] | None


_Outcome = Exception | None
_Batch = list[_Submission]


class Writer:
    """Commits what the loop's thread submits. Create it inside the running loop."""

    def __init__(
        self,
        path: Path,
        *,
        busy_timeout_s: float = 5.0,
        max_queue: int = 16_384,
        max_batch: int = 512,
        synchronous: Synchronous = "NORMAL",
        apart: str = "",
    ) -> None:
        """`apart`: a statement whose rows do not depend on what else a submission does.

        Those of a whole batch are run together, however they are interleaved with other rows.
        """
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._max_queue = max_queue
        self._max_batch = max_batch
        self._synchronous = synchronous
        self._apart = apart
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Batch | None] = SimpleQueue()
        self._held: _Batch = []
        self._hand_over_soon = False
        self._hand_over_later: asyncio.TimerHandle | None = None
        self._unresolved = 0
        self._closed = False
        self._connection: sqlite3.Connection | None = None
        self._failure = ""
        self._commit_s = 0.0
        self._commits = 0
        self._submissions = 0
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(
        self, rows: Sequence[Row], on_commit: Callable[[], None] | None = None
    ) -> asyncio.Future[None]:
        """Queue `rows` as one unit. The future resolves after their commit.

        It fails with `StoreUnavailable`, `StoreClosed` or `RecordRejected`. Cancelling it does not
        take the rows back. `on_commit` runs on the loop, after the commit, cancelled or not.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        self._put(_Submission(rows, None, future, on_commit, None))
        return future

    def submit_soon(
        self,
        rows: Sequence[Row],
        on_commit: Callable[[], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        """As `submit`, told by a call: one of the two is called on the loop.

        `on_failure` is called at once when the queue is full or the writer is stopped.
        """
        self._put(_Submission(rows, None, None, on_commit, on_failure))

    def submit_lazily(
        self,
        rows: Sequence[Row],
        on_commit: Callable[[], None] | None = None,
        on_failure: Callable[[Exception], None] | None = None,
    ) -> None:
        """Queue `rows` as one unit that nobody waits for: it may wait `LAZY_S` for company.

        One of the two is called on the loop; `on_failure` at once when the queue is full.
        """
        self._put(_Submission(rows, None, None, on_commit, on_failure), lazily=True)

    def run(self, task: Task[T]) -> asyncio.Future[T]:
        """Queue `task` as one unit; the future resolves to its result after the commit.

        A task may run twice (its first run is rolled back): it keeps its effects in the database.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._put(_Submission((), task, future, None, None))
        return future

    @property
    def ok(self) -> bool:
        """Whether the last commit succeeded."""
        return not self._failure

    def health(self) -> StoreHealth:
        """How the writer is doing. Callable from any thread."""
        failure = self._failure
        return StoreHealth(
            ok=not failure,
            failure=failure,
            queued=self._unresolved,
            commit_s=self._commit_s,
            commits=self._commits,
            submissions=self._submissions,
        )

    def stop(self) -> None:
        """Take no more submissions. What is queued is still committed; `join` waits for that."""
        if not self._closed:
            self._closed = True
            self._hand_over()
            self._queue.put(None)

    def join(self) -> None:
        """Wait for the thread. Blocks: not for the loop's thread."""
        self._thread.join()

    def _put(self, submission: _Submission, *, lazily: bool = False) -> None:
        refused: Exception | None = None
        if self._closed:
            refused = StoreClosed("the store is closed")
        elif self._unresolved >= self._max_queue:
            refused = StoreUnavailable(
                "the store's queue is full", expected=f"fewer than {self._max_queue} waiting"
            )
        if refused is not None:
            _fail(submission, refused)
            return
        self._unresolved += 1
        self._held.append(submission)
        if not lazily:
            if not self._hand_over_soon:
                self._hand_over_soon = True
                self._loop.call_soon(self._hand_over)
        elif self._hand_over_later is None and not self._hand_over_soon:
            self._hand_over_later = self._loop.call_later(LAZY_S, self._hand_over)

    def _hand_over(self) -> None:
        """Give the thread what was submitted since the last time."""
        self._hand_over_soon = False
        if self._hand_over_later is not None:
            self._hand_over_later.cancel()
            self._hand_over_later = None
        if self._held:
            held, self._held = self._held, []
            self._queue.put(held)

    # The thread's side.

    def _run(self) -> None:
        stopping = False
        while not stopping:
            batch, stopping = self._take()
            if batch:
                self._commit(batch)
            elif not stopping:
                self._probe()
        self._disconnect(optimize=True)

    def _take(self) -> tuple[_Batch, bool]:
        """Wait for a submission, then take all that are queued with it; True with the last."""
        failing = bool(self._failure)
        try:
            first = self._queue.get(timeout=_PROBE_INTERVAL_S if failing else None)
        except Empty:
            return [], False
        if first is None:
            return [], True
        batch = first
        # While failing, all of the queue shares one wait for the lock: nobody waits for several.
        limit = self._max_queue if failing else self._max_batch
        with contextlib.suppress(Empty):
            while len(batch) < limit:
                more = self._queue.get_nowait()
                if more is None:
                    return batch, True
                batch += more
        return batch, False

    def _commit(self, batch: _Batch) -> None:
        began = time.perf_counter()
        results: dict[int, Any] = {}
        outcomes: list[_Outcome] = []
        try:
            outcomes = self._transact(batch, results)
        except Exception as error:  # whatever it is, it must reach the callers, not end the thread
            self._failed(error)
            outcomes = [environment_failure(error) for _ in batch]
        else:
            self._failure = ""
            self._commits += 1
            self._submissions += len(batch)
        self._commit_s = time.perf_counter() - began
        # Raises when the loop has been closed: nobody is left to be told.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._resolve, batch, outcomes, results)

    def _transact(self, batch: _Batch, results: dict[int, Any]) -> list[_Outcome]:
        """Commit the batch; on a record's failure, again with each submission on its own.

        Returns the failures by position, or [] for none; raises only the environment's failures.
        """
        connection = self._connect()
        connection.execute("BEGIN IMMEDIATE")
        try:
            _apply(connection, batch, results, self._apart)
            connection.execute("COMMIT")
            return []
        except Exception as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if is_environment(error):
                raise
        connection.execute("BEGIN IMMEDIATE")
        try:
            outcomes = [
                _apply_one(connection, position, one, results, self._apart)
                for position, one in enumerate(batch)
            ]
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return outcomes

    def _resolve(
        self, batch: _Batch, outcomes: Sequence[_Outcome], results: dict[int, Any]
    ) -> None:
        """Tell the callers, on the loop: first what waits for durability, then who waits for us."""
        self._unresolved -= len(batch)
        for position, submission in enumerate(batch):
            future, on_commit = submission.future, submission.on_commit
            error = outcomes[position] if outcomes else None
            if error is not None:
                _fail(submission, error)
                continue
            if on_commit is not None:
                try:
                    on_commit()
                except Exception as raised:
                    self._loop.call_exception_handler(
                        {"message": "a store's on_commit raised", "exception": raised}
                    )
            if future is not None and not future.done():
                future.set_result(results.get(position) if results else None)

    def _probe(self) -> None:
        """Find out whether a failure's cause is gone, since callers may hold back until it is."""
        began = time.perf_counter()
        try:
            connection = self._connect()
            connection.execute(_PROBE, (str(time.time_ns()).encode(),))
        except Exception as error:
            self._failed(error)
        else:
            self._failure = ""
            _log.info("store_recovered")
        self._commit_s = time.perf_counter() - began

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
            connection.execute(f"PRAGMA synchronous={self._synchronous}")
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


def _fail(submission: _Submission, error: Exception) -> None:
    if submission.future is not None:
        if not submission.future.done():
            submission.future.set_exception(error)
    elif submission.on_failure is not None:
        submission.on_failure(error)


def _apply(
    connection: sqlite3.Connection, batch: _Batch, results: dict[int, Any], apart: str
) -> None:
    """Run the batch in order, rows that follow each other with one statement together.

    Rows of the statement `apart` run together after the others, but before a task.
    """
    statement = ""
    parameters: list[tuple[Any, ...]] = []
    aside: list[tuple[Any, ...]] = []
    for position, one in enumerate(batch):
        for sql, values in one.rows:
            if sql is apart:
                aside.append(values)
                continue
            if sql is not statement:
                if parameters:
                    connection.executemany(statement, parameters)
                statement = sql
                parameters = []
            parameters.append(values)
        if one.task is not None:
            if parameters:
                connection.executemany(statement, parameters)
                parameters = []
            if aside:
                connection.executemany(apart, aside)
                aside = []
            results[position] = one.task(connection)
    if parameters:
        connection.executemany(statement, parameters)
    if aside:
        connection.executemany(apart, aside)


def _apply_one(
    connection: sqlite3.Connection,
    position: int,
    one: _Submission,
    results: dict[int, Any],
    apart: str,
) -> _Outcome:
    """Run one submission so that its failure takes nothing else with it."""
    connection.execute("SAVEPOINT one")
    try:
        result: dict[int, Any] = {}
        _apply(connection, [one], result, apart)
    except Exception as error:
        if is_environment(error):
            raise
        connection.execute("ROLLBACK TO one")
        connection.execute("RELEASE one")
        results.pop(position, None)
        return record_failure(error)
    connection.execute("RELEASE one")
    if result:
        results[position] = result[0]
    return None
