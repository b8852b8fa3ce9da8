"""A real orchestrator and a real runner, as processes, for the command to meet."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue

import pytest

START_S = 60.0


@dataclass(eq=False)
class Process:
    """A running `paddock` command and what it prints."""

    args: tuple[str, ...]
    env: dict[str, str]
    cwd: Path
    lines: "Queue[str | None]" = field(default_factory=Queue)
    seen: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "paddock", *self.args],
            env={**self.env, "PYTHONUNBUFFERED": "1"}, cwd=self.cwd, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.lines.put(line.rstrip())
        self.lines.put(None)

    def until(self, text: str) -> str:
        """The next line that holds `text`; fails when the output ends or a minute passes."""
        while True:
            line = self.lines.get(timeout=START_S)
            assert line is not None, f"{self.args} ended without {text!r}: {self.seen}"
            self.seen.append(line)
            if text in line:
                return line

    def stop(self) -> int:
        """SIGTERM; the exit code. Killed after half a minute."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(30)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait(5)
        self._reader.join(5)
        if self.popen.stdout is not None:
            self.popen.stdout.close()
        return self.popen.returncode


@dataclass(frozen=True)
class Place:
    """A folder with an orchestrator of its own."""

    folder: Path
    env: dict[str, str]

    def paddock(self, *args: str, text: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "paddock", *args],
            env=self.env, cwd=self.folder, input=text, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip


Start = Callable[..., Process]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PADDOCK_", "UNPOD_"))}
    env |= {"PADDOCK_CONTEXTS": str(folder / "contexts.json"), "HOME": str(folder)}
    args = ("orchestrator", "--port", "0", "--state-dir", str(folder / "state"))
    orchestrator = Process(args, env, folder)
    try:
        orchestrator.until("listening")
        yield Place(folder, env)
    finally:
        orchestrator.stop()


@pytest.fixture
def start(place: Place) -> Iterator[Start]:
    """Start a command that stays; all are stopped at the end of the test."""
    running: list[Process] = []

    def start_(*args: str, **env: str) -> Process:
        running.append(Process(args, {**place.env, **env}, place.folder))
        return running[-1]

    yield start_
    for process in running:
        process.stop()
