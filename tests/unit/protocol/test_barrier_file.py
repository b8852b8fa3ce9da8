"""A container that is restarted in its pod goes on where it stood."""

from pathlib import Path

import pytest

from paddock._barrier_file import restored_barrier, store_barrier
from paddock.options import resolve
from paddock.protocol.words import Mode, Refusal


def test_a_restarted_container_takes_nothing_while_its_drain_lasts(tmp_path: Path) -> None:
    store_barrier(tmp_path / "b", 3, Mode.DRAIN)
    barrier = restored_barrier(tmp_path / "b")
    assert barrier.drain_epoch == 3
    assert barrier.book("job") is Refusal.DRAINING
    assert barrier.obey(2, Mode.SERVE) is None


def test_the_last_one_stored_counts(tmp_path: Path) -> None:
    store_barrier(tmp_path / "b", 3, Mode.DRAIN)
    store_barrier(tmp_path / "b", 4, Mode.SERVE)
    assert restored_barrier(tmp_path / "b").mode is Mode.SERVE


def test_what_could_not_be_stored_is_said_not_to_be(tmp_path: Path) -> None:
    assert store_barrier(tmp_path / "b", 3, Mode.DRAIN)
    (tmp_path / "c").mkdir()
    assert not store_barrier(tmp_path / "c", 3, Mode.DRAIN)
    assert not store_barrier(tmp_path / "missing" / "b", 3, Mode.DRAIN)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"drain_epoch": "x", "mode": "drain"}'])
def test_what_cannot_be_read_is_as_if_it_were_not_there(tmp_path: Path, text: str) -> None:
    (tmp_path / "b").write_text(text)
    assert restored_barrier(tmp_path / "b").drain_epoch == 0
    assert restored_barrier(tmp_path / "missing").drain_epoch == 0
    assert restored_barrier(None).drain_epoch == 0


def test_only_a_pod_has_something_to_remember(tmp_path: Path) -> None:
    """Elsewhere a name is used again for another runner, whose epochs begin anew."""

    def file(env: dict[str, str]) -> Path | None:
        return resolve(
            agent_id="a", api_key="rk_x", max_sessions=1, permits_per_minute=1, drain_timeout_s=1,
            dev_mode=False, base_url="http://localhost", env=env,
        ).barrier_file  # fmt: skip

    pod = {"PADDOCK_STATE_DIR": str(tmp_path), "PADDOCK_POD_UID": "u1"}
    assert file(pod) == tmp_path / "u1.barrier"
    assert file({"PADDOCK_STATE_DIR": str(tmp_path)}) is None
    assert file({"PADDOCK_POD_UID": "u1"}) is None
