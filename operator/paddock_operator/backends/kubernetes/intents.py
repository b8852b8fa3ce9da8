"""A runner's intent as annotations of its pod. Pure.

Everything of an intent stands in one object with the pod's phase and its deletion, so that one
compare-and-swap on `metadata.resourceVersion` covers all of it.
"""

import math
from collections.abc import Mapping

from paddock.protocol.words import Mode
from paddock_operator.backends.kubernetes.words import DEADLINE, EPOCH, MODE, REASON, SINCE
from paddock_operator.plan.view import DrainReason, Intent

UNREADABLE = Intent(drain_epoch=-1)
"""What annotations say that nobody of ours wrote. It is no drain, so no commit is based on it; what
is written over it follows what the runner itself reports."""


def intent_of(annotations: Mapping[str, str]) -> Intent:
    """The intent that stands there; `UNREADABLE` for annotations that make no sense."""
    if EPOCH not in annotations:
        return Intent()
    try:
        reason = annotations.get(REASON)
        return Intent(
            drain_epoch=int(annotations[EPOCH]),
            mode=Mode(annotations.get(MODE, Mode.SERVE)),
            reason=DrainReason(reason) if reason else None,
            since=_seconds(annotations.get(SINCE)),
            deadline=_seconds(annotations.get(DEADLINE)),
        )
    except ValueError:
        return UNREADABLE


def intent_annotations(intent: Intent) -> dict[str, str | None]:
    """The annotations to merge: None removes one."""
    return {
        EPOCH: str(intent.drain_epoch),
        MODE: intent.mode.value,
        REASON: intent.reason.value if intent.reason is not None else None,
        SINCE: None if intent.since is None else repr(intent.since),
        DEADLINE: None if intent.deadline is None else repr(intent.deadline),
    }


def _seconds(text: str | None) -> float | None:
    seconds = float(text) if text else None
    if seconds is not None and not math.isfinite(seconds):
        raise ValueError(f"{text!r} is no time")
    return seconds
