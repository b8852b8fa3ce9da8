"""The write-ahead of a local pool: compare-and-swap over files."""

from pathlib import Path

import pytest

from paddock.protocol.words import Mode
from paddock_operator.backends.processes.records import Record, Records
from paddock_operator.plan.actions import Commit, WriteIntent
from paddock_operator.plan.view import DrainReason, Intent

DRAIN = Intent(1, Mode.DRAIN, DrainReason.SCALE_DOWN, 10.0, 70.0)


@pytest.fixture
def records(tmp_path: Path) -> Records:
    made = Records(tmp_path / "runners")
    made.put(Record("r1", "rev", 4242, 1.5, 9.0))
    return made


def test_a_record_is_read_back_as_it_was_written(records: Records) -> None:
    records.write_intent(WriteIntent("r1", Intent(), DRAIN))

    assert records.load() == {"r1": Record("r1", "rev", 4242, 1.5, 9.0, DRAIN)}


def test_a_write_decided_on_another_intent_does_not_go_through(records: Records) -> None:
    assert records.write_intent(WriteIntent("r1", Intent(), DRAIN)) is not None
    late = Intent(1, Mode.SERVE)

    assert records.write_intent(WriteIntent("r1", Intent(), late)) is None
    assert records.load()["r1"].intent == DRAIN


def test_a_commit_after_an_un_drain_does_not_go_through(records: Records) -> None:
    records.write_intent(WriteIntent("r1", Intent(), DRAIN))
    records.write_intent(WriteIntent("r1", DRAIN, Intent(2)))

    assert records.commit(Commit("r1", DRAIN, "done"), 20.0) is None


def test_after_the_commit_nothing_can_be_written(records: Records) -> None:
    records.write_intent(WriteIntent("r1", Intent(), DRAIN))
    assert records.commit(Commit("r1", DRAIN, "done"), 20.0) is not None

    assert records.write_intent(WriteIntent("r1", DRAIN, Intent(2))) is None
    assert records.commit(Commit("r1", DRAIN, "done"), 21.0) is None


def test_a_half_written_record_is_set_aside(records: Records, tmp_path: Path) -> None:
    broken = tmp_path / "runners" / "r2.json"
    broken.write_text('{"runner_id": "r2", ')

    assert list(records.load()) == ["r1"]
    assert not broken.exists()


def test_unknown_runners_are_nobodys_to_write(records: Records) -> None:
    assert records.write_intent(WriteIntent("nobody", Intent(), DRAIN)) is None
