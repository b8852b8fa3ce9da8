"""Structured logs: an event name in the past tense, and fields. Never a user's words."""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

FLUSH_S = 0.05
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {k: v for k, v in record.__dict__.items() if k not in _STANDARD}


class TextFormat(logging.Formatter):
    """`12:00:00.123 info  session_ended  session=... reason=completed`"""

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%H:%M:%S", time.gmtime(record.created))
        fields = " ".join(f"{k}={v}" for k, v in _fields(record).items())
        head = f"{at}.{int(record.msecs):03d} {record.levelname.lower():7} {record.getMessage()}"
        text = f"{head}  {fields}" if fields else head
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class JsonFormat(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "at": f"{at}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class EventLog:
    """Lines of the same formats for a path that is too hot for `logging`'s records.

    Level "info"; the fields' values are ids and words of ours, which need no escaping.
    """

    def __init__(self, name: str, *, as_json: bool, write: Callable[[str], object]) -> None:
        self._name = name
        self._as_json = as_json
        self._write = write
        self._at_ms = 0
        self._stamp = ""
        self._shapes: dict[str, str] = {}
        """By event: its line with a place for the stamp and each field."""

    def line(self, event: str, **fields: str) -> None:
        """Write one line. An event has the same fields each time."""
        at_ms = time.time_ns() // 1_000_000
        if at_ms != self._at_ms:
            self._at_ms = at_ms
            second, ms = divmod(at_ms, 1000)
            form = "%Y-%m-%dT%H:%M:%S" if self._as_json else "%H:%M:%S"
            self._stamp = f"{time.strftime(form, time.gmtime(second))}.{ms:03d}"
        shape = self._shapes.get(event)
        if shape is None:
            shape = self._shapes[event] = self._shape(event, tuple(fields))
        self._write(shape % (self._stamp, *fields.values()))

    def _shape(self, event: str, names: tuple[str, ...]) -> str:
        if self._as_json:
            told = "".join([f',"{name}":"%s"' for name in names])
            head = f'{{"at":"%sZ","level":"info","event":"{event}"'
            return f'{head},"logger":"{self._name}"{told}}}\n'
        told = " ".join([f"{name}=%s" for name in names])
        return f"%s info    {event}  {told}\n"


class BufferedStream:
    """Collects what is written and hands it on every `FLUSH_S`: a line costs no system call."""

    def __init__(self, stream: TextIO, loop: asyncio.AbstractEventLoop) -> None:
        self._stream = stream
        self._loop = loop
        self._lines: list[str] = []

    def write(self, text: str) -> int:
        if not self._lines:
            self._loop.call_later(FLUSH_S, self.drain)
        self._lines.append(text)
        return len(text)

    def flush(self) -> None:
        """Nothing: `drain` is what empties it."""

    def drain(self) -> None:
        """Write what was collected."""
        lines, self._lines = self._lines, []
        self._stream.write("".join(lines))
        self._stream.flush()


def buffer(loop: asyncio.AbstractEventLoop) -> BufferedStream:
    """From now on collect log lines on `loop`. Call `drain` on what is returned at the end."""
    stream = BufferedStream(sys.stderr, loop)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(stream)
    return stream


def configure(log_format: str, level: str) -> None:
    """Send every log line to standard error in `log_format` (text | json)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormat() if log_format == "json" else TextFormat())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("uvicorn.access", "uvicorn.error", "websockets", "alembic", "httpx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.raiseExceptions = False
    # Nobody prints these, and finding them out costs more than the line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
