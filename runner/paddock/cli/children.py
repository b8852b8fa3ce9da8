"""Child processes of `paddock dev`: started in sessions of their own, ended with us."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

STOP_GRACE_S = 6.0
"""After SIGTERM; a runner ends calls that are left at its drain deadline."""


@dataclass(eq=False)
class Child:
    """One process. Its output goes to `on_line`, line by line."""

    process: Process
    reading: "asyncio.Task[None]"
    last_line: str = ""

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        env: Mapping[str, str],
        on_line: Callable[[str], None],
    ) -> "Child":
        """Start `paddock COMMAND`. Ctrl-C at the terminal does not reach it: `stop` does."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "paddock", *command,
            env={**os.environ, **env, "PYTHONUNBUFFERED": "1"},
            stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, start_new_session=True,
        )  # fmt: skip
        child = cls(process, asyncio.create_task(asyncio.sleep(0)))
        child.reading = asyncio.create_task(child._read(on_line))
        return child

    @property
    def running(self) -> bool:
        return self.process.returncode is None

    def terminate(self) -> None:
        """Ask it to leave; a runner drains."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)

    async def wait(self) -> None:
        """Until it has ended and its output is read."""
        await self.process.wait()
        await asyncio.wait((self.reading,), timeout=1.0)

    async def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """SIGTERM, then SIGTERM again, which forces a runner, then SIGKILL."""
        for wait_s in (grace_s, 1.0):
            if not self.running:
                break
            self.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self.process.wait()
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        self.reading.cancel()

    async def _read(self, on_line: Callable[[str], None]) -> None:
        assert self.process.stdout is not None
        while True:
            try:
                raw = await self.process.stdout.readline()
            except ValueError:
                continue  # a line longer than the buffer: its start is dropped
            if not raw:
                return
            line = raw.decode("utf-8", "replace").rstrip()
            if line:
                self.last_line = line
                on_line(line)
