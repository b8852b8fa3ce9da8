"""What a status says, and how it is written."""

from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest

from paddock_operator.model.conditions import (
    LONGEST_SENTENCE,
    POOL_CONDITIONS,
    REASONS,
    Condition,
    ConditionType,
    Reason,
    State,
    timestamp,
)
from paddock_operator.model.status import (
    MOST_DRAINS,
    POOL_STATUS,
    ConnectionStatus,
    DrainStatus,
    PoolStatus,
    longest,
    status_json,
)
from unit.model.statuses import FULL, NOW, condition


def drains(count: int) -> tuple[DrainStatus, ...]:
    return tuple(DrainStatus(f"pod-{at}", "Rollout", since=NOW + at) for at in range(count))


def test_a_full_status_has_every_field_of_its_schema() -> None:
    schema = POOL_STATUS.json_schema(mode="serialization")
    written = status_json(FULL)

    assert jsonschema_rs.is_valid(schema, written)
    assert list(written) == list(schema["properties"])


def test_names_are_in_camel_case_at_every_level() -> None:
    def names(value: object) -> list[str]:
        if isinstance(value, dict):
            return [*value, *(name for below in value.values() for name in names(below))]
        return [n for item in value for n in names(item)] if isinstance(value, list) else []

    found = names(status_json(FULL))

    assert {"inFlight", "lastScaleTime", "updatedRunners", "lastTransitionTime"} <= set(found)
    assert [name for name in found if "_" in name] == []


def test_instants_are_written_in_utc_and_whole_seconds() -> None:
    assert timestamp(NOW + 0.9) == "2026-11-21T02:00:00Z"


def test_what_is_not_known_is_not_written() -> None:
    written: dict[str, Any] = status_json(PoolStatus())

    assert "statsTime" not in written
    assert "lastScaleTime" not in written["scaling"]
    assert written["sessions"]["inFlight"] == 0


def test_runners_are_counted_by_their_drain_level_in_order() -> None:
    written: dict[str, Any] = status_json(PoolStatus(drain_levels={3: 4, 0: 1}))

    assert list(written["drainLevels"].items()) == [("0", 1), ("3", 4)]


def test_no_drain_level_is_written_as_no_map_which_an_apply_would_make_a_null() -> None:
    assert "drainLevels" not in status_json(replace(FULL, drain_levels={}))


def test_conditions_are_written_in_one_order() -> None:
    one, other = condition(ConditionType.AVAILABLE), condition(ConditionType.DEGRADED)

    assert status_json(PoolStatus(conditions=(one, other))) == status_json(
        PoolStatus(conditions=(other, one))
    )


def test_too_long_a_message_is_cut() -> None:
    long = condition(ConditionType.AVAILABLE, message="x" * (LONGEST_SENTENCE + 1))
    written: dict[str, Any] = status_json(PoolStatus(conditions=(long,)))
    message = written["conditions"][0]["message"]

    assert (len(message), message[-1]) == (LONGEST_SENTENCE, "…")


def test_only_the_drains_that_began_first_are_kept() -> None:
    kept = longest(reversed(drains(MOST_DRAINS + 1)))

    assert kept == drains(MOST_DRAINS)
    assert status_json(PoolStatus(drains=kept))["drains"]


def test_too_many_drains_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="got 11 drains, expected at most 10"):
        PoolStatus(drains=drains(MOST_DRAINS + 1))


def test_a_condition_has_one_of_its_reasons() -> None:
    with pytest.raises(ValueError, match="expected one of: ColdStarting, EnoughRunners"):
        Condition(ConditionType.AVAILABLE, State.TRUE, Reason.SATURATED, "", NOW, 1)
    with pytest.raises(ValueError, match="expected one of: NoFailures"):
        Condition(ConditionType.DEGRADED, State.FALSE, Reason.CRASH_LOOPING, "", NOW, 1)


def test_an_unknown_condition_was_not_observed() -> None:
    for one in ConditionType:
        Condition(one, State.UNKNOWN, Reason.NOT_OBSERVED, "", NOW, 1)
    with pytest.raises(ValueError, match="expected one of: NotObserved"):
        Condition(ConditionType.DEGRADED, State.UNKNOWN, Reason.NO_FAILURES, "", NOW, 1)


def test_every_reason_belongs_to_a_condition() -> None:
    used = {
        reason for states in REASONS.values() for reasons in states.values() for reason in reasons
    }

    assert set(REASONS) == set(ConditionType)
    assert used | {Reason.NOT_OBSERVED} == set(Reason)


def test_a_condition_stands_once_and_where_it_belongs() -> None:
    ready, available = condition(ConditionType.READY), condition(ConditionType.AVAILABLE)

    assert ConditionType.READY not in POOL_CONDITIONS
    assert status_json(ConnectionStatus(1, (ready,)))["observedGeneration"] == 1
    for conditions in ((available, available), (ready,)):
        with pytest.raises(ValueError, match="each at most once"):
            PoolStatus(conditions=conditions)
    with pytest.raises(ValueError, match="each at most once"):
        ConnectionStatus(conditions=(available,))
