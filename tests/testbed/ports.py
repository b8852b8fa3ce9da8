"""Ports for servers that must come back on the same one."""

import fcntl
import functools
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

_FIRST, _LAST = 20000, 29999
"""Below what the system gives to outgoing connections, so that nobody takes the port of a server
that is down for a moment; below NodePorts too."""
_SHARE = 250


class _Share:
    """A part of the ports that is this process's alone while it lives: what it has found free and
    not bound yet, another one that runs tests beside it does not find, too."""

    def __init__(self) -> None:
        folder = Path(tempfile.gettempdir()) / f"paddock-ports-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        for first in range(_FIRST, _LAST, _SHARE):
            lock = (folder / str(first)).open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            self._lock: IO[str] = lock
            self._ports = range(first, first + _SHARE)
            self._given = 0
            return
        raise OSError(f"all ports between {_FIRST} and {_LAST} are shared out: {folder}")

    def once_around(self) -> Iterator[int]:
        """Each of them, the one that was given longest ago first."""
        for _ in self._ports:
            self._given += 1
            yield self._ports[self._given % _SHARE]


@functools.cache
def _share() -> _Share:
    return _Share()


def free_ports(count: int) -> list[int]:
    """Different ports of the loopback that nobody listens on now."""
    ports: list[int] = []
    with ExitStack() as held:
        for port in _share().once_around():
            probe = held.enter_context(socket.socket())
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.append(port)
            if len(ports) == count:
                return ports
    raise OSError(f"no {count} free ports between {_FIRST} and {_LAST}")
