"""Conditions: what a status says in words, each reason of a closed set."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel


def timestamp(at: float) -> str:
    """Wall clock in seconds as an API server writes it: UTC, whole seconds."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Instant = Annotated[
    float,
    PlainSerializer(timestamp, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""Wall clock, seconds."""

LONGEST_SENTENCE: Final = 4096


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_SENTENCE else f"{text[: LONGEST_SENTENCE - 1]}…"


Sentence = Annotated[
    str, PlainSerializer(_cut, return_type=str), Field(max_length=LONGEST_SENTENCE)
]
"""For people. Cut when it is written: too long a message must not cost the whole status."""

WORDS: Final = ConfigDict(alias_generator=to_camel)
"""How the parts of a status are written out: camelCase."""


class ConditionType(StrEnum):
    """What can be asked of an object; the pool's in the order in which they are written."""

    AVAILABLE = "Available"
    """Enough runners and free slots, or all that is missing is being started."""
    PROGRESSING = "Progressing"
    """A roll-out or a change of size is under way."""
    SCALING_ACTIVE = "ScalingActive"
    """The size is computed from fresh statistics."""
    SCALING_LIMITED = "ScalingLimited"
    """The pool wants another size than it is allowed."""
    ORCHESTRATOR_REACHABLE = "OrchestratorReachable"
    """Statistics are fresh and plausible."""
    DRAINING = "Draining"
    """At least one runner drains."""
    DEGRADED = "Degraded"
    """Something keeps runners from doing what the manifest says."""
    TEMPLATE_ACCEPTED = "TemplateAccepted"
    """The manifest is valid, and an API server would take the pods of its template."""
    READY = "Ready"
    """Of an OrchestratorConnection: the orchestrator answers and takes the key."""


class State(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Why a condition is as it is. Programs may compare these; the message is for people."""

    NOT_OBSERVED = "NotObserved"
    """Any condition that is Unknown because nothing was looked at yet."""
    ENOUGH_RUNNERS = "EnoughRunners"
    NOT_ENOUGH_RUNNERS = "NotEnoughRunners"
    SATURATED = "Saturated"
    """At maxRunners, with starts waiting."""
    COLD_STARTING = "ColdStarting"
    ROLLING_OUT = "RollingOut"
    SCALING = "Scaling"
    ROLLOUT_COMPLETE = "RolloutComplete"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    ANALYSIS_FAILED = "AnalysisFailed"
    PAUSED = "Paused"
    FRESH_STATISTICS = "FreshStatistics"
    MANUAL = "Manual"
    """`replicas` is set: the pool does not scale itself."""
    STATS_STALE = "StatsStale"
    FALLBACK = "Fallback"
    NOT_LIMITED = "NotLimited"
    AT_MAX = "AtMax"
    AT_MIN = "AtMin"
    STEP_LIMITED = "StepLimited"
    """By maxStarting or maxDraining: it takes several steps."""
    QUOTA_EXCEEDED = "QuotaExceeded"
    CONNECTED = "Connected"
    UNREACHABLE = "Unreachable"
    UNAUTHORIZED = "Unauthorized"
    STALE = "Stale"
    INCONSISTENT = "Inconsistent"
    """Statistics that cannot be: everything at zero at once."""
    NEVER_REPORTED = "NeverReported"
    NONE = "None"
    """No runner drains."""
    SESSIONS_LEFT = "SessionsLeft"
    DEADLINE_NEAR = "DeadlineNear"
    NO_FAILURES = "NoFailures"
    CRASH_LOOPING = "CrashLooping"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    UNSCHEDULABLE = "Unschedulable"
    OVERLAPPING_PDB = "OverlappingPDB"
    CAPACITY_MISMATCH = "CapacityMismatch"
    """Runners claim fewer slots than sessionsPerRunner."""
    ACCEPTED = "Accepted"
    INVALID = "Invalid"
    FORBIDDEN = "Forbidden"
    AGENT_TAKEN = "AgentTaken"
    """An older AgentDeployment has the agent of this one's connection."""
    MISSING_SECRET = "MissingSecret"


_T, _C, _R = State, ConditionType, Reason

REASONS: Final[Mapping[ConditionType, Mapping[State, frozenset[Reason]]]] = {
    _C.AVAILABLE: {
        _T.TRUE: frozenset({_R.ENOUGH_RUNNERS, _R.COLD_STARTING}),
        _T.FALSE: frozenset({_R.NOT_ENOUGH_RUNNERS, _R.SATURATED, _R.COLD_STARTING}),
    },
    _C.PROGRESSING: {
        _T.TRUE: frozenset({_R.ROLLING_OUT, _R.SCALING}),
        _T.FALSE: frozenset(
            {_R.ROLLOUT_COMPLETE, _R.PAUSED, _R.DEADLINE_EXCEEDED, _R.ANALYSIS_FAILED}
        ),
    },
    _C.SCALING_ACTIVE: {
        _T.TRUE: frozenset({_R.FRESH_STATISTICS}),
        _T.FALSE: frozenset({_R.MANUAL, _R.PAUSED, _R.STATS_STALE, _R.FALLBACK}),
    },
    _C.SCALING_LIMITED: {
        _T.TRUE: frozenset({_R.AT_MAX, _R.AT_MIN, _R.QUOTA_EXCEEDED, _R.STEP_LIMITED}),
        _T.FALSE: frozenset({_R.NOT_LIMITED}),
    },
    _C.ORCHESTRATOR_REACHABLE: {
        _T.TRUE: frozenset({_R.CONNECTED}),
        _T.FALSE: frozenset(
            {_R.UNREACHABLE, _R.UNAUTHORIZED, _R.STALE, _R.INCONSISTENT, _R.NEVER_REPORTED}
        ),
    },
    _C.DRAINING: {
        _T.TRUE: frozenset({_R.SESSIONS_LEFT, _R.DEADLINE_NEAR}),
        _T.FALSE: frozenset({_R.NONE}),
    },
    _C.DEGRADED: {
        _T.TRUE: frozenset(
            {
                _R.CRASH_LOOPING,
                _R.IMAGE_PULL_FAILED,
                _R.UNSCHEDULABLE,
                _R.QUOTA_EXCEEDED,
                _R.OVERLAPPING_PDB,
                _R.CAPACITY_MISMATCH,
                _R.FORBIDDEN,
            }
        ),
        _T.FALSE: frozenset({_R.NO_FAILURES}),
    },
    _C.TEMPLATE_ACCEPTED: {
        _T.TRUE: frozenset({_R.ACCEPTED}),
        _T.FALSE: frozenset({_R.INVALID, _R.FORBIDDEN, _R.AGENT_TAKEN}),
    },
    _C.READY: {
        _T.TRUE: frozenset({_R.CONNECTED}),
        _T.FALSE: frozenset({_R.UNREACHABLE, _R.UNAUTHORIZED, _R.MISSING_SECRET, _R.INVALID}),
    },
}
"""The reasons of each condition, by its state. Unknown goes with `NotObserved` only."""

POOL_CONDITIONS: Final = tuple(one for one in ConditionType if one is not ConditionType.READY)
"""Those of an AgentDeployment. All of them are there after the operator's first pass."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition.

    ValueError when the reason is not one of its type and state.
    """

    __pydantic_config__ = WORDS

    # Any text for an API server: an older definition must not refuse a newer operator's word.
    type: Annotated[
        ConditionType,
        WithJsonSchema({"type": "string", "maxLength": 63}),
        Field(description="What is asked. Unique in the list."),
    ]
    status: Annotated[State, Field(description="True, False or Unknown.")]
    reason: Annotated[
        Reason,
        WithJsonSchema({"type": "string", "maxLength": 63, "minLength": 1}),
        Field(description="Why, in one word of a closed set."),
    ]
    message: Annotated[Sentence, Field(description="Why, in words for people.")]
    last_transition_time: Annotated[Instant, Field(description="When `status` last changed.")]
    observed_generation: Annotated[
        int, Field(ge=0, description="The generation of the manifest that was looked at.")
    ]

    def __post_init__(self) -> None:
        unknown = frozenset({Reason.NOT_OBSERVED})
        allowed = REASONS[self.type].get(self.status, unknown)
        if self.reason not in allowed:
            known = ", ".join(sorted(allowed))
            raise ValueError(
                f"{self.type}={self.status}: got reason {self.reason}, expected one of: {known}"
            )
