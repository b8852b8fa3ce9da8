"""What an older status says, read with care: anybody may have written it. Pure."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from paddock_operator.model.conditions import Condition, ConditionType
from paddock_operator.observe.judged import Judged


def instant(value: object) -> float | None:
    """A written time as wall clock seconds; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def part(status: Mapping[str, object], name: str) -> Mapping[str, object]:
    """A part of the status that is a mapping; empty when it is not there."""
    found = status.get(name)
    return found if isinstance(found, Mapping) else {}


def conditions(
    judged: Mapping[ConditionType, Judged],
    before: Mapping[str, object],
    *,
    generation: int,
    now: float,
) -> tuple[Condition, ...]:
    """The conditions with the time since which each has its status, carried over from `before`."""
    since = dict(_transitions(before.get("conditions")))
    return tuple(
        Condition(
            kind,
            one.status,
            one.reason,
            one.message,
            since.get((kind.value, one.status.value), now),
            generation,
        )
        for kind, one in judged.items()
    )


def _transitions(written: object) -> Iterable[tuple[tuple[object, object], float]]:
    for each in written if isinstance(written, list | tuple) else ():
        if isinstance(each, Mapping):
            at = instant(each.get("lastTransitionTime"))
            kind, status = each.get("type"), each.get("status")
            if at is not None and isinstance(kind, str) and isinstance(status, str):
                yield (kind, status), at
