"""Who looks after a pool's folder."""

import os
from pathlib import Path

import pytest

from paddock_operator.backends.processes.claim import AlreadyUp, claimed, supervisor


def test_of_two_that_begin_together_one_is_refused(tmp_path: Path) -> None:
    """The other has not said yet who it is."""
    with claimed(tmp_path, "pool"):
        (tmp_path / "up.json").unlink()
        with pytest.raises(AlreadyUp, match="'pool' is already up"), claimed(tmp_path, "pool"):
            pass


def test_who_is_refused_is_told_who_has_it_and_takes_nothing_away(tmp_path: Path) -> None:
    with claimed(tmp_path, "pool"):
        with pytest.raises(AlreadyUp, match=f"pid {os.getpid()}"), claimed(tmp_path, "pool"):
            pass
        found = supervisor(tmp_path)
        assert found is not None
        assert found.pid == os.getpid()
    assert supervisor(tmp_path) is None


def test_what_a_killed_one_left_is_no_claim(tmp_path: Path) -> None:
    (tmp_path / "up.json").write_text('{"pid": 1, "started": 1.0}')
    with claimed(tmp_path, "pool"):
        pass
