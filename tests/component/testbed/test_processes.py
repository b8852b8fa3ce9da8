"""Ending the right processes, and only those."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from testbed.processes import Component, end, end_all, is_running
from testbed.waiting import NotReady, wait_until

_SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]


def _up(component: Component) -> None:
    component.start()
    wait_until("up", lambda: "up" in component.log.read_text(), within_s=20)


def test_a_process_is_known_by_its_id_and_its_command() -> None:
    assert not is_running(os.getpid(), ["something", "else"])
    assert not is_running(2**22 + 1, _SLEEP)


def test_a_reused_id_is_left_alone() -> None:
    end(os.getpid(), ["a", "process", "of", "before"], within_s=0)


def test_a_component_stops_also_when_it_is_frozen(tmp_path: Path) -> None:
    component = Component(tmp_path, "sleeper", _SLEEP)
    _up(component)
    component.freeze()

    component.stop()

    assert not component.running
    assert [*(tmp_path / "processes").iterdir()] == []


def test_what_is_recorded_is_ended_by_another_process(tmp_path: Path) -> None:
    component = Component(tmp_path, "sleeper", _SLEEP, detached=True)
    _up(component)
    record = json.loads((tmp_path / "processes" / "sleeper.json").read_text())
    assert is_running(record["pid"], _SLEEP)

    end_all(tmp_path)

    assert not is_running(record["pid"], _SLEEP)
    assert component._child is not None
    assert component._child.wait(5) == -signal.SIGTERM


def test_a_wait_that_fails_shows_the_end_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("fine\nport in use\n")

    with pytest.raises(NotReady, match=r"not within 0 s\n.*server\.log:\n  fine\n  port in use"):
        wait_until("server", lambda: False, within_s=0, log=log)


def test_a_wait_that_was_held_up_looks_once_more() -> None:
    seen = iter([False, True])

    def holds() -> bool:
        time.sleep(0.02)
        return next(seen)

    wait_until("server", holds, within_s=0.01)


def test_a_wait_for_what_died_is_over_at_once() -> None:
    with pytest.raises(NotReady, match="it ended"):
        wait_until("server", lambda: False, within_s=60, alive=lambda: False)
