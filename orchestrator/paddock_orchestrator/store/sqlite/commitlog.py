"""The commit log: what the database is about to be told, durable at the cost of one `write`.

Committing to the database takes a switch to another thread and back, and its work in between. So
what must be durable at once is appended here first, by the loop itself, and reaches the database
a moment later, in company. An entry survives the death of the process as soon as `append` has
returned, and that of the machine once the operating system has written it back.

A log is a row of segment files beside the database, named by the number of their first entry. A
record is its length and its CRC-32 (little-endian, 4 bytes each), then MessagePack. The first one
of a segment is the list of statements, as text, that its entries name by position: entries that an
older version left are replayed with that version's statements, before the database is upgraded. An
entry is `[number, [[position, values], ...]]`; entries are numbered without a gap.
"""

import contextlib
import os
import re
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from paddock_orchestrator.store.statements import Row

SEGMENT_BYTES = 16 * 1024 * 1024
"""A larger segment is followed by a new one; it goes once the database has all of it."""

_HEAD_BYTES = 8
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class CommitLog:
    """The log's writing end. `append` on one thread, `forget` on another."""

    def __init__(self, database: Path, statements: Sequence[str], first: int) -> None:
        """A log whose next entry is `first`; segments that are there are not touched."""
        self._database = database
        self._header = _record(list(statements))
        self._positions = {sql: position for position, sql in enumerate(statements)}
        self._next = first
        self._descriptor = -1
        self._size = 0
        self._path = database
        self._closed: deque[tuple[Path, int]] = deque()
        """Segments that get no more entries, with their last."""

    def append(self, rows: Sequence[Row]) -> int:
        """Make `rows` durable; their entry's number. Raises `OSError`, and then none of them is."""
        positions = self._positions
        number = self._next
        entry = _record((number, [(positions[sql], values) for sql, values in rows]))
        if self._descriptor < 0:
            self._open()
        self._write(entry)
        self._next = number + 1
        if self._size >= SEGMENT_BYTES:
            self._close()
        return number

    def forget(self, number: int) -> None:
        """The database has every entry up to `number`: remove the segments that hold no other."""
        closed = self._closed
        while closed and closed[0][1] <= number:
            closed.popleft()[0].unlink(missing_ok=True)

    @property
    def last(self) -> int:
        """The number of the last entry."""
        return self._next - 1

    def close(self) -> None:
        """Close the segment that is open. Appending opens another."""
        if self._descriptor >= 0:
            self._close()

    def _open(self) -> None:
        self._path = segment_path(self._database, self._next)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)
        self._size = 0
        try:
            self._write(self._header)
        except OSError:
            self._close()
            raise

    def _write(self, record: bytes) -> None:
        """All of the record, or nothing of it."""
        try:
            written = os.write(self._descriptor, record)
            if written < len(record):  # the disk is full: the rest will say so
                written += os.write(self._descriptor, record[written:])
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += written

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)
        if self._size > len(self._header):
            self._closed.append((self._path, self._next - 1))
            return
        # No entry is in it, so that the next segment has its name and must not be forgotten.
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def segment_path(database: Path, number: int) -> Path:
    """Where the segment is whose first entry has this number."""
    return database.with_name(f"{database.name}-log-{number:020d}")


def segments(database: Path) -> list[Path]:
    """The segments that are there, oldest first."""
    name = re.compile(re.escape(database.name) + r"-log-\d{20}\Z")
    with contextlib.suppress(FileNotFoundError):
        return sorted(p for p in database.parent.iterdir() if name.match(p.name))
    return []


def entries(segment: Path) -> Iterator[tuple[int, list[Row]]]:
    """The whole entries of a segment, in order; one that was being written is left out."""
    records = _records(segment.read_bytes())
    statements: list[str] = next(records, [])
    for number, rows in records:
        yield number, [(statements[position], tuple(values)) for position, values in rows]


def _record(content: object) -> bytes:
    payload = _encode(content)
    return b"%b%b%b" % (
        len(payload).to_bytes(4, "little"), zlib.crc32(payload).to_bytes(4, "little"), payload
    )  # fmt: skip


def _records(data: bytes) -> Iterator[Any]:
    at = 0
    while at + _HEAD_BYTES <= len(data):
        length = int.from_bytes(data[at : at + 4], "little")
        checksum = int.from_bytes(data[at + 4 : at + 8], "little")
        payload = data[at + _HEAD_BYTES : at + _HEAD_BYTES + length]
        if len(payload) < length or zlib.crc32(payload) != checksum:
            return
        yield _decode(payload)
        at += _HEAD_BYTES + length
