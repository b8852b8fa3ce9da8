"""Numbered frames that survive a lost socket: sans-I/O halves of one direction.

The sender keeps what is not acknowledged and sends it again after a reconnect; the receiver drops
what it has seen. Together: delivered in order, each once, as long as both ends live.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec

F = TypeVar("F", bound=msgspec.Struct)


class Overflow(Exception):
    """The peer has not acknowledged for too long: the buffer is full."""


@dataclass(slots=True)
class Outgoing(Generic[F]):
    """The sending half. At most `limit` frames wait for their acknowledgement."""

    limit: int = 4096
    last: int = 0
    _kept: deque[tuple[int, F]] = field(default_factory=deque)

    def next(self) -> int:
        """The number for the next frame. Raises `Overflow` when `limit` frames wait."""
        if len(self._kept) >= self.limit:
            raise Overflow(f"{self.limit} frames without an acknowledgement")
        self.last += 1
        return self.last

    def keep(self, frame: F) -> F:
        """Remember the frame that carries the number just given."""
        self._kept.append((self.last, frame))
        return frame

    def acknowledge(self, seq: int) -> None:
        """Forget everything up to `seq`; a repeated or older acknowledgement changes nothing."""
        while self._kept and self._kept[0][0] <= seq:
            self._kept.popleft()

    def unacknowledged(self) -> list[F]:
        """What to send again on a new socket, oldest first."""
        return [frame for _, frame in self._kept]

    def after(self, seq: int) -> list[F]:
        """What is kept beyond `seq`, oldest first; cheap when that is only the newest."""
        newer: list[F] = []
        for number, frame in reversed(self._kept):
            if number <= seq:
                break
            newer.append(frame)
        newer.reverse()
        return newer

    def __len__(self) -> int:
        return len(self._kept)


@dataclass(slots=True)
class Incoming:
    """The receiving half."""

    received: int = 0
    acknowledged: int = 0

    def accept(self, seq: int) -> bool:
        """Whether the frame is new. Unnumbered frames (0) always are."""
        if seq == 0:
            return True
        if seq <= self.received:
            return False
        self.received = seq
        return True

    def ack_due(self, every: int = 1) -> int | None:
        """The number to acknowledge now, if `every` frames or more have come since the last one."""
        if self.received - self.acknowledged >= every:
            self.acknowledged = self.received
            return self.received
        return None
