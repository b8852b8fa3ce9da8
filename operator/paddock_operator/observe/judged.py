"""A condition before it is known since when it holds, and how messages are put together. Pure."""

from typing import NamedTuple

from paddock_operator.model.conditions import Reason, State


class Judged(NamedTuple):
    """What holds now, why in one word, and why in a sentence with what to do about it."""

    status: State
    reason: Reason
    message: str


def yes(reason: Reason, message: str) -> Judged:
    return Judged(State.TRUE, reason, message)


def no(reason: Reason, message: str) -> Judged:
    return Judged(State.FALSE, reason, message)


def not_known(message: str) -> Judged:
    return Judged(State.UNKNOWN, Reason.NOT_OBSERVED, message)


def count(number: int, noun: str) -> str:
    """`1 runner`, `2 runners`"""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def some(names: tuple[str, ...], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def said(message: str) -> str:
    """Somebody else's message as the end of a sentence of ours: one line, no full stop."""
    line = " ".join(message.split()).rstrip(". ")
    return f": {line}" if line else ""
