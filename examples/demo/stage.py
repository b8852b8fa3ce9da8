"""The demo's own pool: `paddock up` in a throw-away folder, and the hands that shake it."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paddock.client.contexts import Context, ContextFile

HERE = Path(__file__).parent
NAME = "demo"
UP_TIMEOUT_S = 60.0


class StageFailed(Exception):
    """The pool did not come up; the text says what it said last."""


@dataclass(frozen=True)
class Stage:
    """A running `paddock up`."""

    folder: Path
    env: dict[str, str]
    up: "subprocess.Popen[bytes]"

    @property
    def context(self) -> Context:
        return ContextFile.load(self.env).contexts[NAME]

    @property
    def log(self) -> Path:
        return self.folder / "up.log"

    def kill_runner(self, runner_id: str) -> None:
        """SIGKILL, as an out-of-memory killer would."""
        record = json.loads(
            (self.folder / "state" / NAME / "runners" / f"{runner_id}.json").read_text()
        )
        os.kill(int(record["pid"]), signal.SIGKILL)

    def roll_out(self) -> None:
        """Save the manifest with another template, as a developer would."""
        path = self.folder / "agentdeployment.yaml"
        path.write_text(path.read_text().replace('value: "1"', 'value: "2"'))


@contextlib.contextmanager
def stage(*, keep: bool) -> Iterator[Stage]:
    """The pool, up and answering. Drained and removed on leaving, unless it is kept."""
    folder = Path(tempfile.mkdtemp(prefix="paddock-demo-"))
    for name in ("agent.py", "agentdeployment.yaml"):
        shutil.copy(HERE / name, folder / name)
    env = {
        **os.environ,
        "PADDOCK_HOME": str(folder / "state"),
        "PADDOCK_CONTEXTS": str(folder / "contexts.json"),
        "PADDOCK_ORCHESTRATOR_STARTS_BURST": "1000",
    }
    with open(folder / "up.log", "wb") as log:
        up = subprocess.Popen(
            [sys.executable, "-m", "paddock", "up", "--port", "0", "--metrics-port", "0"],
            cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    ready = Stage(folder, env, up)
    try:
        _wait_up(ready)
        yield ready
    except BaseException:
        keep = False
        raise
    finally:
        if not keep:
            _tear_down(ready)


def _wait_up(ready: Stage) -> None:
    deadline = time.monotonic() + UP_TIMEOUT_S
    while time.monotonic() < deadline:
        if ready.up.poll() is not None:
            break
        with contextlib.suppress(OSError):
            if " up " in ready.log.read_text():
                return
        time.sleep(0.1)
    raise StageFailed(ready.log.read_text()[-2000:])


def _tear_down(ready: Stage) -> None:
    if ready.up.poll() is None:
        ready.up.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            ready.up.wait(15)
    if ready.up.poll() is None:
        ready.up.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            ready.up.wait(15)
    if ready.up.poll() is None:
        ready.up.kill()
    shutil.rmtree(ready.folder, ignore_errors=True)
