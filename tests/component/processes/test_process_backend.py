"""Runners as processes of this machine, whose disk is full or whose supervisor was killed."""

import contextlib
import errno
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from fakes.waiting import eventually
from paddock.protocol.words import Mode
from paddock_operator.backends.processes.backend import ProcessBackend
from paddock_operator.backends.processes.child import find
from paddock_operator.backends.processes.records import Record, Records
from paddock_operator.backends.processes.template import ProcessTemplate
from paddock_operator.plan.actions import Create, Forget, WriteIntent
from paddock_operator.plan.view import DrainReason, Intent, Phase

RUNNER = [sys.executable, "-c", "import signal; signal.pause()"]
NAME = f"pool-rev-{secrets.token_hex(3)}"
"""No other process's: it is found by that among all of this machine."""
DRAIN = Intent(1, Mode.DRAIN, DrainReason.SCALE_DOWN, 10.0, 70.0)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[[], ProcessBackend]]:
    """What looks after the pool in this folder; made again, it is what comes after a kill -9."""

    def make() -> ProcessBackend:
        return ProcessBackend(
            name="pool",
            folder=tmp_path,
            template=lambda: ProcessTemplate(tuple(RUNNER), {}, tmp_path),
            env=lambda name, _: {"PADDOCK_RUNNER_ID": name, "TEST_FOLDER": str(tmp_path)},
            grace_s=60.0,
        )

    yield make
    while (left := of_this_test(tmp_path)) is not None:
        os.killpg(left, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(left, 0)


def of_this_test(folder: Path) -> int | None:
    """The pid of a runner that goes on."""
    found = find(lambda process: process.environ().get("TEST_FOLDER") == str(folder))
    return found.pid if found is not None else None


def full_after(monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    """The disk takes so many records, and no more."""
    left = [writes]

    def fsync(_: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("writes", [0, 1])
async def test_no_runner_goes_on_that_could_not_be_written_down(
    made: Callable[[], ProcessBackend], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    pool = made()
    full_after(monkeypatch, writes)
    await pool.create(Create("rev", 1))

    assert of_this_test(tmp_path) is None
    (failed,) = pool.observe()
    assert failed.phase is Phase.FAILED
    assert "No space left" in failed.failure
    assert "No space left" in pool.crashes[0].exit

    await pool.forget(Forget(failed.runner_id))
    assert list(pool.observe()) == []
    assert list((tmp_path / "runners").iterdir()) == [tmp_path / "runners" / ".lock"]


async def test_a_runner_whose_pid_was_never_written_is_found_and_stays_found(
    made: Callable[[], ProcessBackend], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the start and its record; and then the disk is full, too."""
    pid = started_but_not_recorded(tmp_path)
    again = made()
    with monkeypatch.context() as patched:
        full_after(patched, 0)
        assert again.adopt() == 1
    assert [each.phase for each in again.observe()] == [Phase.STARTING]
    assert again.usage(NAME)[0] == pid

    assert await again.write_intent(WriteIntent(NAME, Intent(), DRAIN))
    assert again.usage(NAME)[0] == pid
    assert [each.intent for each in again.observe()] == [DRAIN]
    assert made().adopt() == 1


def started_but_not_recorded(folder: Path) -> int:
    Records(folder / "runners").put(Record(NAME, "rev", 0, 0.0, 9.0))
    env = {**os.environ, "PADDOCK_RUNNER_ID": NAME, "TEST_FOLDER": str(folder)}
    return subprocess.Popen(RUNNER, env=env, start_new_session=True).pid


async def test_a_start_that_was_broken_off_before_there_was_a_process_is_over(
    made: Callable[[], ProcessBackend], tmp_path: Path
) -> None:
    Records(tmp_path / "runners").put(Record(NAME, "rev", 0, 0.0, 9.0))
    again = made()
    assert again.adopt() == 0

    (over,) = again.observe()
    assert (over.phase, over.failure) == (Phase.FAILED, "its start was broken off")


async def test_a_killed_supervisors_runners_are_the_next_ones(
    made: Callable[[], ProcessBackend],
) -> None:
    first = made()
    await first.create(Create("rev", 1))
    (runner,) = first.observe()

    second = made()
    assert second.adopt() == 1
    pid = second.usage(runner.runner_id)[0]
    os.killpg(pid, signal.SIGKILL)
    await eventually(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, what="its death")
    assert [each.phase for each in second.observe()] == [Phase.FAILED]
