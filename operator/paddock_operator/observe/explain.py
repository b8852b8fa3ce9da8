"""The last decisions of each pool and what they rest on, for `paddock explain`. Pure."""

import re
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from paddock.protocol.words import Mode
from paddock_operator.observe.scene import Scene
from paddock_operator.plan.actions import Action, Create, Tell, WriteIntent

KEPT: Final = 20
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")


class Explanations:
    """The last `kept` decisions of each pool that differ from the one before.

    Passes that decide the same again only move `until` on, and bring sample and sentence up to
    date: a pool at rest keeps the story of how it came to rest.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._pools: dict[str, deque[dict[str, Any]]] = {}

    def keep(self, pool: str, scene: Scene) -> None:
        """Note the decision of a pass."""
        entries = self._pools.setdefault(pool, deque(maxlen=self._kept))
        entry = _entry(scene)
        if entries and _gist(entries[-1]) == _gist(entry):
            entry["at"], entry["passes"] = entries[-1]["at"], entries[-1]["passes"] + 1
            entries[-1] = entry
        else:
            entries.append(entry)

    def explanation(self, pool: str) -> list[dict[str, Any]]:
        """What was decided, oldest first; empty for a pool that is not known."""
        return [dict(entry) for entry in self._pools.get(pool, ())]

    def forget(self, pool: str) -> None:
        """The pool is gone."""
        self._pools.pop(pool, None)


def _entry(scene: Scene) -> dict[str, Any]:
    last = scene.last
    sample = asdict(last.pool.sample)
    sample["startup_times_s"] = list(sample["startup_times_s"])
    return {
        "at": scene.at,
        "until": scene.at,
        "passes": 1,
        "revision": last.revision,
        "fresh": last.fresh,
        "start_failures": last.failures,
        "sample": sample,
        "decision": asdict(last.decision),
        "sentence": last.plan.reason,
        "actions": in_short(last.plan.actions),
    }


def _gist(entry: Mapping[str, Any]) -> tuple[object, ...]:
    decision = entry["decision"]
    return (
        entry["revision"],
        entry["fresh"],
        decision["target"],
        decision["limited"],
        # Seconds that are left count down in every pass; the words are what was decided.
        _NUMBER.sub("#", entry["sentence"]),
        tuple(map(str, entry["actions"])),
    )


def in_short(actions: tuple[Action, ...]) -> list[dict[str, Any]]:
    """Alike ones together: what is done, to whom (a few of them), and to how many."""
    number: Counter[str] = Counter()
    names: dict[str, list[str]] = {}
    for action in actions:
        if isinstance(action, Tell):
            continue
        verb = _verb(action)
        if isinstance(action, Create):
            number[verb] += action.count
        else:
            number[verb] += 1
            names.setdefault(verb, []).append(action.runner_id)
    return [
        {"action": verb, "count": count, "runners": names.get(verb, [])[:10]}
        for verb, count in number.items()
    ]


def _verb(action: Action) -> str:
    if isinstance(action, WriteIntent):
        reason = action.after.reason
        if action.after.mode is Mode.SERVE:
            return "UnDrain"
        return f"Drain ({reason.value})" if reason is not None else "Drain"
    return type(action).__name__
