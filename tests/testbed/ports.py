"""Ports for servers that must come back on the same one."""

import random
import socket
from contextlib import ExitStack

_FIRST, _LAST = 20000, 29999
"""Below what the system gives to outgoing connections, so that nobody takes the port of a server
that is down for a moment; below NodePorts too."""
_TRIES = 1000


def free_ports(count: int) -> list[int]:
    """Different ports of the loopback that nobody listens on now."""
    ports: list[int] = []
    with ExitStack() as held:
        for _ in range(_TRIES):
            if len(ports) == count:
                return ports
            probe = held.enter_context(socket.socket())
            try:
                port = random.randint(_FIRST, _LAST)
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.append(port)
    raise OSError(f"no {count} free ports between {_FIRST} and {_LAST}")
