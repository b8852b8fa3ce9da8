"""The cluster's processes: each with a log and a record of its own, so that whoever comes after a
crash can end them."""

import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def is_running(pid: int, argv: Sequence[str]) -> bool:
    """Whether this process id still is this command: ids are used again."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return bool(raw) and os.fsdecode(raw).rstrip("\0").split("\0") == [*argv]


def end(pid: int, argv: Sequence[str], within_s: float) -> None:
    """SIGTERM, and SIGKILL when `within_s` passed. Nothing if it is somebody else by now."""
    for number, patience_s in ((signal.SIGTERM, within_s), (signal.SIGKILL, 5.0)):
        if not is_running(pid, argv):
            return
        os.kill(pid, number)
        os.kill(pid, signal.SIGCONT)
        deadline = time.monotonic() + patience_s
        while is_running(pid, argv) and time.monotonic() < deadline:
            time.sleep(0.01)


@dataclass(eq=False)
class Component:
    """One process of a cluster. Invariant: while it runs, its record is in the folder."""

    folder: Path
    name: str
    argv: Sequence[str]
    detached: bool = False
    """Whether it outlives us."""
    inside: Sequence[str] = ()
    """A prefix that executes the command, such as nsenter with its options."""
    stop_s: float = 10.0
    _child: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    _made_at: float = field(default_factory=time.time, init=False)

    @property
    def log(self) -> Path:
        return self.folder / "logs" / f"{self.name}.log"

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start it, again with the same command after `stop`. Its readiness is another matter."""
        assert not self.running, f"{self.name} runs"
        self.log.parent.mkdir(exist_ok=True)
        with self.log.open("ab") as output:
            self._child = subprocess.Popen(
                [*self.inside, *self.argv], cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
                preexec_fn=None if self.detached else _die_with_parent,
            )  # fmt: skip
        self._write_record(self._child.pid)

    def stop(self) -> None:
        """Ended and reaped when this returns. SIGKILL after `stop_s`."""
        if self._child is None:
            return
        self._child.terminate()
        self.thaw()
        try:
            self._child.wait(self.stop_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._record.unlink(missing_ok=True)

    def kill(self) -> None:
        """SIGKILL: a crash."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._record.unlink(missing_ok=True)

    def freeze(self) -> None:
        """SIGSTOP: there, and silent."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    @property
    def _record(self) -> Path:
        return self.folder / "processes" / f"{self.name}.json"

    def _write_record(self, pid: int) -> None:
        self._record.parent.mkdir(exist_ok=True)
        content = {"pid": pid, "argv": [*self.argv], "made_at": self._made_at}
        unfinished = self._record.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(content))
        unfinished.rename(self._record)

    def _signal(self, number: signal.Signals) -> None:
        if self._child is not None:
            self._child.send_signal(number)


def end_all(folder: Path, say: Callable[[str], None] = lambda _: None) -> None:
    """End what the records of a folder name: what was made last goes first, however often it was
    restarted, since servers wait for their clients."""
    records = []
    for path in (folder / "processes").glob("*.json"):
        record = json.loads(path.read_text())
        records.append((record["made_at"], path, record))
    for _, path, record in sorted(records, reverse=True, key=lambda each: each[0]):
        if is_running(record["pid"], record["argv"]):
            say(f"ending {path.stem}")
        end(record["pid"], record["argv"], 10.0)
        path.unlink(missing_ok=True)
