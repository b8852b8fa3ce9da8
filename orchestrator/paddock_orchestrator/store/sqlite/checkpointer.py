"""Moves the write-ahead log into the database beside the writer, so that no commit waits for it.

SQLite by itself does so inside the commit that crosses a limit; under a thousand starts a second
that was every half second, for some twenty milliseconds, and everything behind that commit waited.
A passive checkpoint takes what no reader needs and blocks nobody. The writer keeps SQLite's own, at
a limit that is reached only when this cannot keep up.
"""

import contextlib
import os
import sqlite3
import threading
from pathlib import Path

NICENESS = 5
EVERY_S = 1.0
WORTH_BYTES = 4 * 1024 * 1024
"""Below this the log is left alone."""


def give_way() -> None:
    """Let the loop go before this thread, where threads have priorities of their own (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class Checkpointer:
    """A thread that runs until `stop`. Its failures are the writer's to report."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(path.name + "-wal")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-checkpointer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; `join` waits for it."""
        self._stopping.set()

    def join(self) -> None:
        """Blocks: not for the loop's thread."""
        self._thread.join()

    def _run(self) -> None:
        give_way()
        while not self._stopping.wait(EVERY_S):
            with contextlib.suppress(OSError, sqlite3.Error):
                if self._log.stat().st_size >= WORTH_BYTES:
                    self._checkpoint()

    def _checkpoint(self) -> None:
        uri = f"{self._path.as_uri()}?mode=rw"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=0.0)) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
