"""The runner as a process: signals, and a file that shows its event loop turns."""

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

log = logging.getLogger("paddock.process")

HEARTBEAT_FILE_S = 2.0


@contextlib.contextmanager
def stop_signals(on_signal: Callable[[], None]) -> Iterator[None]:
    """Call `on_signal` for each SIGTERM and SIGINT while inside.

    Outside the main thread, where signals cannot be had, does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    caught = (signal.SIGTERM, signal.SIGINT)
    for number in caught:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


async def touch_heartbeat(directory: Path, runner_id: str) -> None:
    """Touch `<directory>/<runner_id>.heartbeat` every two seconds, for a liveness probe."""
    path = directory / f"{runner_id.replace('/', '_')}.heartbeat"
    while True:
        try:
            path.touch()
        except OSError as why:
            log.warning("heartbeat_file_failed", extra={"path": str(path), "why": str(why)})
        await asyncio.sleep(HEARTBEAT_FILE_S)


def age_ms() -> int:
    """Milliseconds since this process was started, by the kernel's count where it has one."""
    try:
        with open("/proc/self/stat", encoding="ascii") as stat:
            ticks = int(stat.read().rpartition(")")[2].split()[19])
        with open("/proc/uptime", encoding="ascii") as uptime:
            up_s = float(uptime.read().split()[0])
        return max(0, int((up_s - ticks / os.sysconf("SC_CLK_TCK")) * 1000))
    except (OSError, ValueError, IndexError):
        return int(time.process_time() * 1000)
