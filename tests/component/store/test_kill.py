"""A resolved future is a promise that outlives the process."""

import random
import subprocess
import sys

from sqlalchemy import select

from component.store import writing_child
from paddock_orchestrator.store.schema import events
from paddock_orchestrator.store.store import Store

_ROUNDS = 5


async def test_what_was_acknowledged_survives_kill(url: str) -> None:
    rng = random.Random(20240607)
    acknowledged: set[int] = set()
    for _ in range(_ROUNDS):
        acknowledged |= _round(url, kill_after_lines=rng.randint(1, 300))
    store = await Store.open(url)
    kept = await store.reader.read(lambda c: set(c.execute(select(events.c.event_id)).scalars()))
    await store.close()
    assert len(acknowledged) >= _ROUNDS
    assert set() == acknowledged - kept


def _round(url: str, *, kill_after_lines: int) -> set[int]:
    """Let a child write until it printed so many lines, kill it, and return all it printed."""
    command = [sys.executable, str(writing_child.__file__), url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = []
        for line in child.stdout:
            lines.append(line)
            if len(lines) == kill_after_lines:
                child.kill()
        assert child.wait() == -9
    # The last line may be cut short.
    return {int(line) for line in lines if line.endswith("\n")}
