"""What is written down of each child: one JSON file, replaced atomically under one lock.

A record outlives `paddock up`: the next one finds the process by its id, pid and start time. The
intent in it is the write-ahead log of the drain protocol; a write that was decided on another
intent than the stored one does not go through.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from paddock.protocol.words import Mode
from paddock_operator.plan.actions import Commit, WriteIntent
from paddock_operator.plan.drain import commit_holds, write_holds
from paddock_operator.plan.view import DrainReason, Intent


@dataclass(frozen=True, slots=True)
class Record:
    """One runner process."""

    runner_id: str
    revision: str
    pid: int
    """0: it is about to be started, or was and nobody came to say so."""
    started: float
    """The kernel's start time of the pid: another process with the number is not this one."""
    created_at: float
    intent: Intent = Intent()
    ending_since: float | None = None
    """When it was told to go for good; no intent can be written any more."""
    ending_outcome: str = ""


class Records:
    """All records of one pool, in one folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder

    def load(self) -> dict[str, Record]:
        """Every readable record. One that a crash left half-written is set aside, not trusted."""
        records = {}
        for path in sorted(self._folder.glob("*.json")):
            try:
                record = _from_json(json.loads(path.read_text()))
            except (OSError, ValueError, KeyError, TypeError):
                path.rename(path.with_suffix(".broken"))
                continue
            records[record.runner_id] = record
        return records

    def put(self, record: Record) -> None:
        """Write it down, as it is. Raises `OSError`, and then what stood there stands."""
        with self._locked():
            self._write(record)

    def write_intent(self, action: WriteIntent) -> Record | None:
        """Store the new intent; None when the stored one is not what it was decided on."""
        with self._locked():
            record = self._read(action.runner_id)
            if record is None or record.ending_since is not None:
                return None
            if not write_holds(record.intent, action):
                return None
            return self._write(replace(record, intent=action.after))

    def commit(self, action: Commit, now: float) -> Record | None:
        """Mark the runner as ending for good; None when its intent has changed."""
        with self._locked():
            record = self._read(action.runner_id)
            if record is None or record.ending_since is not None:
                return None
            if not commit_holds(record.intent, action):
                return None
            return self._write(replace(record, ending_since=now, ending_outcome=action.outcome))

    def remove(self, runner_id: str) -> None:
        with self._locked():
            self._path(runner_id).unlink(missing_ok=True)

    def _path(self, runner_id: str) -> Path:
        return self._folder / f"{runner_id}.json"

    def _read(self, runner_id: str) -> Record | None:
        try:
            return _from_json(json.loads(self._path(runner_id).read_text()))
        except FileNotFoundError:
            return None

    def _write(self, record: Record) -> Record:
        path = self._path(record.runner_id)
        draft = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            with open(draft, "wb") as file:
                file.write(msgspec.json.encode(record))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        return record

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self._folder / ".lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _from_json(raw: dict[str, object]) -> Record:
    intent = raw.pop("intent")
    if not isinstance(intent, dict):
        raise TypeError("intent: expected an object")
    reason = intent["reason"]
    return Record(
        intent=Intent(
            drain_epoch=int(intent["drain_epoch"]),
            mode=Mode(intent["mode"]),
            reason=None if reason is None else DrainReason(reason),
            since=intent["since"],
            deadline=intent["deadline"],
        ),
        **raw,  # type: ignore[arg-type]
    )
