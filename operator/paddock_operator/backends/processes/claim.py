"""Who looks after a pool's folder: one `paddock up`, for as long as it lives."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from paddock_operator.backends.processes.child import Child


class AlreadyUp(Exception):
    """Another `paddock up` looks after this pool."""


@contextlib.contextmanager
def claimed(folder: Path, name: str) -> Iterator[None]:
    """While the pool in `folder` is this process's alone. Raises `AlreadyUp`.

    The lock goes with the process, however it ends. What `up.json` says is for `paddock down`.
    """
    said = folder / "up.json"
    with open(folder / "up.lock", "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyUp(_taken(folder, name)) from None
        try:
            pid = os.getpid()
            started = psutil.Process(pid).create_time()
            said.write_text(json.dumps({"pid": pid, "started": started}))
            yield
        finally:
            said.unlink(missing_ok=True)


def _taken(folder: Path, name: str) -> str:
    other = supervisor(folder)
    who = f" (pid {other.pid})" if other is not None else ""
    return f"pool {name!r} is already up{who}; `paddock down {name}` ends it"


def supervisor(folder: Path) -> Child | None:
    """The living `paddock up` of the pool in `folder`."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        raw = json.loads((folder / "up.json").read_text())
        child = Child(int(raw["pid"]), float(raw["started"]))
        if child.alive():
            return child
    return None
