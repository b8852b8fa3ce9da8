"""Orchestrators as forks of a process that has imported them, so that one starts in a sixth of the
time: imports are nearly all of it, and tests start hundreds. Else they are processes like others.
"""

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

_TESTS = Path(__file__).parents[1]
_MESSAGE = 1 << 16
_ANSWER_S = 60.0
"""How long the process that forks may take, its imports included."""


class Forked:
    """`paddock` with these words, and what one does with a child. Made by `fork`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""
        if self.returncode is None:
            self.returncode = _ask({"reap": self.pid})
            if self.returncode is not None:
                os.close(self._ended)
        return self.returncode

    def wait(self) -> int:
        while (code := self.poll()) is None:
            select.select([self._ended], [], [])
        return code

    def send_signal(self, number: int) -> None:
        """Nothing when it is over: only we reap it, so nobody else has its number meanwhile."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def fork(words: Sequence[str], *, env: dict[str, str], cwd: Path, output: Path) -> Forked:
    """Start `paddock` with these words; what it says goes to the end of `output`."""
    pid = _ask({"words": words, "env": env, "cwd": str(cwd), "output": str(output)})
    assert pid is not None
    return Forked(pid)


_one_at_a_time = threading.Lock()


def _ask(what: dict[str, Any]) -> int | None:
    with _one_at_a_time:
        _, asking = _forking()
        asking.send(json.dumps(what).encode())
        answer: int | None = json.loads(asking.recv(_MESSAGE))
        return answer


@cache
def _forking() -> "tuple[subprocess.Popen[bytes], socket.socket]":
    """The process that forks, and how it is asked. It ends with us."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(_ANSWER_S)
    with its:
        process = subprocess.Popen(
            [sys.executable, "-m", "fakes.forked"],
            stdin=its.fileno(), env={"PYTHONPATH": str(_TESTS), "PATH": os.environ["PATH"]},
        )  # fmt: skip
    return process, ours


def _serve(asked: socket.socket) -> None:
    """Fork and reap as asked. In a fork: returns once it is what was asked for."""
    while message := asked.recv(_MESSAGE):
        what = json.loads(message)
        if "reap" in what:
            pid, status = os.waitpid(what["reap"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if not answer:
                asked.close()
                _become(what)
                return
        asked.send(json.dumps(answer).encode())
    os._exit(0)


def _become(what: dict[str, Any]) -> None:
    """What a process is given by whoever executes it."""
    os.environ.clear()
    os.environ.update(what["env"])
    os.chdir(what["cwd"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(what["output"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for into, given in ((0, nothing), (1, output), (2, output)):
        os.dup2(given, into)
    os.closerange(3, 64)
    sys.argv = ["paddock", *what["words"]]


def main() -> None:
    # Imported where they are needed: whoever forks needs only the names above.
    import paddock_orchestrator.main  # noqa: F401
    from paddock.cli.main import main as paddock

    gc.freeze()  # so that a fork's collector does not copy what it shares
    _serve(socket.socket(fileno=os.dup(0)))
    paddock()


if __name__ == "__main__":
    main()
