"""What a look at a system finds, and how what is wrong is mended."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "doubtful", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `fix` says what to do; "" where nothing has to be done."""

    about: str
    verdict: Verdict
    found: str
    fix: str = ""


def fine(about: str, found: str) -> Finding:
    return Finding(about, "ok", found)


def doubtful(about: str, found: str, fix: str) -> Finding:
    """It works, but perhaps not as it should."""
    return Finding(about, "doubtful", found, fix)


def wrong(about: str, found: str, fix: str) -> Finding:
    return Finding(about, "wrong", found, fix)
