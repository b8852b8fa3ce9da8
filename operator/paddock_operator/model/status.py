"""What an operator writes into an object's status: plain data, and its JSON.

None is not written. Counters are those of the last pass; live numbers are metrics.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final

from pydantic import Field, PlainSerializer, TypeAdapter

from paddock_operator.model.conditions import (
    POOL_CONDITIONS,
    WORDS,
    Condition,
    ConditionType,
    Instant,
    Sentence,
)

MOST_DRAINS: Final = 10
"""Drains in a status; the others are in the metrics only."""

Count = Annotated[int, Field(ge=0)]


def _by_level(counts: Mapping[int, int]) -> dict[str, int]:
    return {str(level): counts[level] for level in sorted(counts)}


@dataclass(frozen=True, slots=True)
class SessionCounts:
    """Sessions of the pool, and room for them."""

    __pydantic_config__ = WORDS

    capacity: Annotated[Count, Field(description="Slots of the runners that serve.")] = 0
    in_flight: Annotated[Count, Field(description="Sessions that take a slot anywhere.")] = 0
    queued: Annotated[Count, Field(description="Starts that wait for a slot.")] = 0
    free: Annotated[Count, Field(description="Slots that can be taken now.")] = 0
    draining: Annotated[Count, Field(description="Sessions on runners that drain.")] = 0


@dataclass(frozen=True, slots=True)
class ScalingStatus:
    """How the size came about."""

    __pydantic_config__ = WORDS

    reason: Annotated[
        Sentence, Field(description="Why desiredRunners is what it is, in a sentence.")
    ] = ""
    last_scale_time: Annotated[
        Instant | None, Field(description="When desiredRunners last changed.")
    ] = None
    recommended_warm_sessions: Annotated[
        Count | None, Field(description="warmSessions that would have answered every start.")
    ] = None


@dataclass(frozen=True, slots=True)
class RevisionStatus:
    """What the runners are made of."""

    __pydantic_config__ = WORDS

    current: Annotated[str, Field(description="Revision that was last rolled out in full.")] = ""
    updated: Annotated[str, Field(description="Revision of the manifest as it is now.")] = ""
    updated_runners: Annotated[Count, Field(description="Runners of the updated revision.")] = 0
    step: Annotated[Count | None, Field(description="Step of the roll-out, counted from 1.")] = None


@dataclass(frozen=True, slots=True)
class DrainStatus:
    """One runner that drains."""

    __pydantic_config__ = WORDS

    pod: Annotated[str, Field(description="Name of the runner's pod.")]
    reason: Annotated[str, Field(description="Why it leaves.")]
    since: Annotated[Instant, Field(description="When its drain was decided.")]
    deadline: Annotated[
        Instant | None, Field(description="When it ends with what it holds; absent: never.")
    ] = None
    sessions: Annotated[
        Count | None, Field(description="Sessions it holds; absent when that is not known.")
    ] = None


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """The status of an AgentDeployment.

    `starting`, `ready`, `draining` and `unknown` do not overlap and add up to `replicas`; a runner
    that drains counts as draining even when nothing is heard of it. ValueError for more than ten
    drains, a condition that is not a pool's, or one that stands twice.
    """

    __pydantic_config__ = WORDS

    observed_generation: Annotated[
        Count, Field(description="The generation of the manifest that the rest is about.")
    ] = 0
    selector: Annotated[str, Field(description="Selects the pool's pods; for autoscalers.")] = ""
    replicas: Annotated[Count, Field(description="Runners that are there, in whatever state.")] = 0
    starting: Annotated[Count, Field(description="Runners that have not registered yet.")] = 0
    ready: Annotated[Count, Field(description="Runners that take sessions.")] = 0
    idle: Annotated[Count, Field(description="Ready runners without a session.")] = 0
    draining: Annotated[Count, Field(description="Runners that take nothing new and leave.")] = 0
    unknown: Annotated[
        Count, Field(description="Runners not heard of for fallback.staleAfterSeconds.")
    ] = 0
    sessions: Annotated[
        SessionCounts, Field(description="Sessions of the pool, and room for them.")
    ] = SessionCounts()
    desired_runners: Annotated[Count, Field(description="Runners there should be.")] = 0
    scaling: Annotated[ScalingStatus, Field(description="How the size came about.")] = (
        ScalingStatus()
    )
    revision: Annotated[RevisionStatus, Field(description="What the runners are made of.")] = (
        RevisionStatus()
    )
    stats_time: Annotated[
        Instant | None, Field(description="When the orchestrator's statistics were made.")
    ] = None
    drain_levels: Annotated[
        Mapping[int, Count],
        PlainSerializer(_by_level),
        Field(
            max_length=4,
            description="Runners by how much of the drain protocol they take part in, from level "
            "0 (only pool totals are known) to level 3 (all of it).",
        ),
    ] = field(default_factory=dict)
    drains: Annotated[
        tuple[DrainStatus, ...],
        Field(max_length=MOST_DRAINS, description="The drains that have lasted longest."),
    ] = ()
    conditions: Annotated[
        tuple[Condition, ...],
        Field(max_length=16, description="What holds of the pool, one condition of each type."),
    ] = ()

    def __post_init__(self) -> None:
        if len(self.drains) > MOST_DRAINS:
            raise ValueError(f"got {len(self.drains)} drains, expected at most {MOST_DRAINS}")
        _check_types(self.conditions, POOL_CONDITIONS)


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """The status of an OrchestratorConnection."""

    __pydantic_config__ = WORDS

    observed_generation: Annotated[
        Count, Field(description="The generation of the object that the rest is about.")
    ] = 0
    conditions: Annotated[
        tuple[Condition, ...],
        Field(max_length=16, description="Ready: the orchestrator answers and takes the key."),
    ] = ()

    def __post_init__(self) -> None:
        _check_types(self.conditions, (ConditionType.READY,))


def _check_types(conditions: Iterable[Condition], allowed: tuple[ConditionType, ...]) -> None:
    types = [condition.type for condition in conditions]
    if len(set(types)) != len(types) or not set(types) <= set(allowed):
        raise ValueError(f"got conditions {types}, expected each at most once of {list(allowed)}")


POOL_STATUS: Final = TypeAdapter(PoolStatus)
CONNECTION_STATUS: Final = TypeAdapter(ConnectionStatus)

_ORDER = {one: at for at, one in enumerate(ConditionType)}


def longest(drains: Iterable[DrainStatus]) -> tuple[DrainStatus, ...]:
    """The drains to write: those that began first."""
    return tuple(sorted(drains, key=lambda drain: (drain.since, drain.pod))[:MOST_DRAINS])


def status_json(status: PoolStatus | ConnectionStatus) -> dict[str, object]:
    """The status as it is written: camelCase, fields and conditions always in the same order."""
    conditions = sorted(status.conditions, key=lambda condition: _ORDER[condition.type])
    ordered = replace(status, conditions=tuple(conditions))
    adapter: TypeAdapter[Any] = POOL_STATUS if isinstance(status, PoolStatus) else CONNECTION_STATUS
    written: dict[str, object] = adapter.dump_python(
        ordered, mode="json", by_alias=True, exclude_none=True
    )
    if not written.get("drainLevels", True):
        # Of a map whose last key is gone, server-side apply makes a null, which the schema refuses.
        del written["drainLevels"]
    return written
