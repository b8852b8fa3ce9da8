"""Child processes in sessions of their own: spawn, find again, signal, measure."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

LOG_LIMIT_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Child:
    """A process by pid and start time, so that a reused pid is never taken for it."""

    pid: int
    started: float

    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) <= 1.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def signal(self, number: signal.Signals) -> bool:
        """Send the signal to the process alone; False when it is gone."""
        if not self.alive():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL the process and whatever it started."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def usage(self) -> tuple[float, int]:
        """(CPU seconds so far, resident bytes); zeros when it is gone."""
        try:
            process = psutil.Process(self.pid)
            with process.oneshot():
                times = process.cpu_times()
                return times.user + times.system, process.memory_info().rss
        except psutil.Error:
            return 0.0, 0


def spawn(
    command: Sequence[str], *, env: Mapping[str, str], cwd: Path, output: Path
) -> tuple[Child, "subprocess.Popen[bytes]"]:
    """Start the command in a session of its own, its output appended to a file.

    The file is the child's own, not a pipe, so that the child survives its parent. Raises OSError
    when it cannot be started.
    """
    output.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", os.defpath)])
    program = shutil.which(command[0], path=path) or command[0]
    with open(output, "ab") as file:
        popen = subprocess.Popen(
            [program, *command[1:]],
            env={**env, "PATH": path},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        started = psutil.Process(popen.pid).create_time()
    except psutil.Error:
        started = 0.0
    return Child(popen.pid, started), popen


def find(is_it: Callable[[psutil.Process], bool]) -> Child | None:
    """The process of which nothing is written down but what it was started with.

    What it has started itself may have inherited that: the oldest, which heads its session.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) == process.pid and is_it(process):
                found.append(Child(process.pid, process.create_time()))
    alive = [child for child in found if child.alive()]
    return min(alive, key=lambda child: child.started, default=None)


def rotate(path: Path) -> None:
    """Copy a log that has grown too long to `.1` and truncate it; the writer appends on."""
    with contextlib.suppress(OSError):
        if path.stat().st_size > LOG_LIMIT_BYTES:
            shutil.copyfile(path, path.with_suffix(path.suffix + ".1"))
            os.truncate(path, 0)


def tail(path: Path, lines: int, since: int = 0) -> list[str]:
    """The last lines of a file, [] when there is none.

    Only those after byte `since`, unless the file was truncated meanwhile.
    """
    try:
        with open(path, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(since if since <= end else 0, end - 64 * 1024))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return text.splitlines()[-lines:]
