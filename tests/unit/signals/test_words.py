"""What an orchestrator says is taken, and what another server says is not."""

import msgspec
import pytest

from paddock_operator.signals.words import line_of
from paddock_orchestrator.api.statistics import PoolStatistics, RunnerStatistics

RUNNER = RunnerStatistics(
    "r1", "desk", "i", "rev", connected=True, suspect=False, draining=False, can_drain=True,
    capacity=4, in_flight=1, drain_epoch=2, report=(2, "drain", 1), startup_ms=None,
    registered_ms=1, oldest_session_ms=None,
)  # fmt: skip
POOL = PoolStatistics(
    "desk", in_flight=1, queued=0, capacity=4, free=3, arrivals=1, completions=0, answered=1,
    late=0, refusals=0, completed_last_hour=0, failed_last_hour=0, mean_call_duration_s=0.0,
    startups_ms=[(1, 700)], closed=False,
)  # fmt: skip
LINE = {"boot": "b", "seq": 1, "at_ms": 1, "recovering": False, "gone": ["r0"],
        "pools": [POOL], "runners": [RUNNER]}  # fmt: skip


def test_an_orchestrators_own_line_is_taken() -> None:
    line = line_of(msgspec.json.encode(LINE).decode() + "\n")
    assert line["gone"] == ["r0"]
    assert line["runners"][0]["report"] == (2, "drain", 1)
    assert line["pools"][0]["startups_ms"] == [(1, 700)]


@pytest.mark.parametrize(
    "text",
    [
        "{}", "[]", "null", "3", "<html>", "", '{"status": "ok"}',
        '{"boot": "b", "seq": 1, "gone": [], "pools": [], "runners": [{"runner_id": "r"}]}',
        '{"boot": "b", "seq": 1, "gone": [], "pools": {}, "runners": []}',
        '{"boot": "b", "seq": "1", "gone": [], "pools": [], "runners": []}',
    ],
)  # fmt: skip
def test_anything_else_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        line_of(text)


def test_what_is_wrong_is_told_without_the_servers_own_words() -> None:
    with pytest.raises(ValueError, match="boot") as caught:
        line_of('{"secret": "sk_one"}')
    assert "sk_one" not in str(caught.value)
