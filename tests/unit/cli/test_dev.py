"""`paddock dev` meets the newest code."""

import asyncio
import os
from pathlib import Path
from typing import Any, cast

from fakes.waiting import eventually
from paddock.cli.dev import Reloading


async def test_a_file_that_is_saved_while_the_first_runner_starts_is_loaded_again(
    tmp_path: Path,
) -> None:
    file = tmp_path / "agent.py"
    file.write_text("one = 1\n")
    os.utime(file, (1, 1))
    reloaded = asyncio.Event()

    class Slow(Reloading):
        async def _start(self) -> tuple[Any, str]:
            file.write_text("two = 22\n")
            return None, "slow"

        async def _reload(self) -> None:
            reloaded.set()

    one = Slow(file, "slow", cast("Any", None), cast("Any", None))
    await one.begin()
    watching = asyncio.create_task(one.watch())
    await eventually(reloaded.is_set, what="a reload")
    watching.cancel()
