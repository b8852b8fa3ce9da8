"""The pool backend of one machine: runners are child processes, records are files."""

import contextlib
import logging
import os
import secrets
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from paddock_operator.backends.processes.child import Child, find, rotate, spawn, tail
from paddock_operator.backends.processes.records import Record, Records
from paddock_operator.backends.processes.template import ProcessTemplate
from paddock_operator.plan.actions import CancelStart, Commit, Create, Forget, WriteIntent
from paddock_operator.plan.view import Phase
from paddock_operator.reconcile.backend import Observed

log = logging.getLogger("paddock.processes")

CRASH_LINES = 20
RUNNER_ID = "PADDOCK_RUNNER_ID"
"""By this variable a process is known whose pid was not written down."""
KILL_AFTER_TIMEOUT_S = 15.0
"""A runner whose deadline has passed and that was told to go gets this long, then SIGKILL."""


@dataclass(frozen=True, slots=True)
class Crash:
    """A runner that ended without being asked to."""

    runner_id: str
    revision: str
    at: float
    exit: str
    lines: tuple[str, ...]


class ProcessBackend:
    """Child processes of one pool. Nothing runs that is not written down, whatever fails when."""

    def __init__(
        self,
        *,
        name: str,
        folder: Path,
        template: Callable[[], ProcessTemplate],
        env: Callable[[str, str], Mapping[str, str]],
        grace_s: float,
    ) -> None:
        """`env(runner_id, revision)` is what a runner is told on top of its template."""
        self._name = name
        self._logs = folder / "logs"
        self._template = template
        self._env = env
        self._grace_s = grace_s
        self._records = Records(folder / "runners")
        self._known: dict[str, Record] = {}
        self._own: dict[str, subprocess.Popen[bytes]] = {}
        self._over: dict[str, str] = {}
        self.crashes: deque[Crash] = deque(maxlen=10)

    def adopt(self) -> int:
        """Take over what an earlier `paddock up` left and nobody else looks after; how many run."""
        self._known = {name: self._found(r) for name, r in self._records.load().items()}
        return sum(_child(record).alive() for record in self._known.values())

    def _found(self, record: Record) -> Record:
        """With its process, where `paddock up` was killed between starting it and saying so."""
        if record.pid:
            return record
        child = find(lambda process: process.environ().get(RUNNER_ID) == record.runner_id)
        if child is None:
            self._over[record.runner_id] = "its start was broken off"
            return record
        found = replace(record, pid=child.pid, started=child.started)
        with contextlib.suppress(OSError):  # whoever comes next finds it in the same way
            self._records.put(found)
        return found

    def observe(self) -> Sequence[Observed]:
        """Every recorded runner, with what its process does now."""
        for name, record in list(self._known.items()):
            self._look_after(name, record)
        return [self._observed(record) for record in self._known.values()]

    def _look_after(self, name: str, record: Record) -> None:
        rotate(self.log_path(name))
        if name in self._over:
            return
        if not _child(record).alive():
            self._ended(name, record)
        elif record.ending_since is not None:
            patience_s = (
                KILL_AFTER_TIMEOUT_S if record.ending_outcome == "timeout" else self._grace_s
            )
            if time.time() - record.ending_since > patience_s:
                log.warning("killed", extra={"runner": name, "after_s": patience_s})
                _child(record).kill()

    def _ended(self, name: str, record: Record) -> None:
        popen = self._own.pop(name, None)
        code = popen.wait() if popen is not None else None
        how = _exit_text(code)
        self._over[name] = how
        if record.ending_since is None and code != 0:
            lines = tuple(tail(self.log_path(name), CRASH_LINES))
            self.crashes.append(Crash(name, record.revision, time.time(), how, lines))
            log.warning("runner_died", extra={"runner": name, "exit": how})

    def _observed(self, record: Record) -> Observed:
        over = self._over.get(record.runner_id)
        if over is not None:
            phase = Phase.FAILED
        elif record.ending_since is not None:
            phase = Phase.TERMINATING
        else:
            phase = Phase.STARTING
        return Observed(
            record.runner_id, record.revision, phase, record.created_at, record.intent,
            asked=record.ending_since is not None, failure=over or "",
        )  # fmt: skip

    async def create(self, action: Create) -> None:
        for _ in range(action.count):
            self._create(action.revision)

    def _create(self, revision: str) -> None:
        runner_id = f"{self._name}-{revision}-{secrets.token_hex(3)}"
        record = self._known[runner_id] = Record(runner_id, revision, 0, 0.0, time.time())
        try:
            self._records.put(record)
        except OSError as why:
            self._not_started(record, _unwritten(why))
            return
        spawned = self._spawned(record)
        if spawned is None:
            return
        child, popen = spawned
        record = replace(record, pid=child.pid, started=child.started)
        try:
            self._records.put(record)
        except OSError as why:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(popen.pid, signal.SIGKILL)
            popen.wait()
            self._not_started(record, _unwritten(why))
            return
        self._known[runner_id] = record
        self._own[runner_id] = popen

    def _spawned(self, record: Record) -> "tuple[Child, subprocess.Popen[bytes]] | None":
        template, runner_id = self._template(), record.runner_id
        try:
            told = {**self._env(runner_id, record.revision), RUNNER_ID: runner_id}
            env = {**os.environ, **template.env, **told}
            output = self.log_path(runner_id)
            return spawn(template.command, env=env, cwd=template.cwd, output=output)
        except OSError as why:
            program = template.command[0]
            how = f"cannot start {program!r} in {template.cwd}: {why.strerror or why}"
            self._not_started(record, how)
            return None

    def _not_started(self, record: Record, how: str) -> None:
        self.crashes.append(Crash(record.runner_id, record.revision, record.created_at, how, ()))
        self._over[record.runner_id] = how
        log.error("start_failed", extra={"runner": record.runner_id, "why": how})

    async def write_intent(self, action: WriteIntent) -> bool:
        return self._stored(self._records.write_intent(action))

    async def commit(self, action: Commit) -> bool:
        if not self._stored(self._records.commit(action, time.time())):
            return False
        record = self._known[action.runner_id]
        _child(record).signal(signal.SIGTERM)
        return True

    def _stored(self, record: Record | None) -> bool:
        if record is None:
            return False
        known = self._known[record.runner_id]
        # What is written may not have its process yet, if it was found by what it was told.
        self._known[record.runner_id] = replace(record, pid=known.pid, started=known.started)
        return True

    async def cancel_start(self, action: CancelStart) -> bool:
        """Never: a process runs from the instant it is created."""
        return False

    async def forget(self, action: Forget) -> None:
        self._records.remove(action.runner_id)
        self._known.pop(action.runner_id, None)
        self._over.pop(action.runner_id, None)
        popen = self._own.pop(action.runner_id, None)
        if popen is not None:
            popen.poll()

    def force(self) -> None:
        """Tell every runner twice, which ends its calls at once.

        Two different signals: two alike, sent together, arrive as one.
        """
        for name, record in self._known.items():
            if name not in self._over:
                child = _child(record)
                child.signal(signal.SIGTERM)
                child.signal(signal.SIGINT)

    def log_path(self, runner_id: str) -> Path:
        return self._logs / f"{runner_id}.log"

    def usage(self, runner_id: str) -> tuple[int, float, int]:
        """(pid, CPU seconds, resident bytes) of a runner."""
        record = self._known.get(runner_id)
        if record is None or runner_id in self._over:
            return 0, 0.0, 0
        cpu_s, rss = _child(record).usage()
        return record.pid, cpu_s, rss

    def discard_old_logs(self, keep: int = 50) -> None:
        """Keep the newest logs; runners come and go."""
        with contextlib.suppress(OSError):
            logs = sorted(self._logs.glob("*.log"), key=lambda p: p.stat().st_mtime)
            for path in logs[:-keep]:
                if path.stem not in self._known:
                    path.unlink(missing_ok=True)


def _child(record: Record) -> Child:
    return Child(record.pid, record.started)


def _unwritten(why: OSError) -> str:
    return f"its record cannot be written: {why.strerror or why}"


def _exit_text(code: int | None) -> str:
    if code is None:
        return "gone"
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit code {code}"
