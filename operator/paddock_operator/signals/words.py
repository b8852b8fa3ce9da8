"""What an orchestrator says to an operator: read and checked here, and nowhere else. Pure.

Only what is used is named. What else there is may come and go with its versions.
"""

from typing import Any, NotRequired, TypedDict

import msgspec


class PoolWords(TypedDict):
    """A pool's counters since `boot`, and its newest start-ups: (number, milliseconds)."""

    agent: str
    queued: int
    arrivals: int
    completions: int
    answered: int
    late: int
    startups_ms: list[tuple[int, int]]


class RunnerWords(TypedDict):
    """A runner as the orchestrator knows it. `report`: (drain_epoch, mode, booked)."""

    runner_id: str
    agent: str
    instance: str
    connected: bool
    suspect: bool
    can_drain: bool
    capacity: int
    in_flight: int
    report: tuple[int, str, int] | None
    registered_ms: int
    oldest_session_ms: int | None


class Line(TypedDict):
    """A line of the statistics stream: everything when `seq` is 1, then what has changed."""

    boot: str
    seq: int
    recovering: NotRequired[bool]
    pools: list[PoolWords]
    runners: list[RunnerWords]
    gone: list[str]


class Declared(msgspec.Struct, frozen=True):
    """The answer to a declaration."""

    closed: bool


class Renewed(msgspec.Struct, frozen=True):
    """The answer to a renewal."""

    lapsed: list[str]


class Commanded(msgspec.Struct, frozen=True):
    """The answer to drain commands."""

    told: list[bool]
    refused: list[str]


_line = msgspec.json.Decoder(Line)


def line_of(text: str) -> dict[str, Any]:
    """A `Line`. ValueError, in words that have nothing of `text` in them, when it is none."""
    return dict(_line.decode(text))
