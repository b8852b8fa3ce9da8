"""A process that keeps events and prints each id once its future has resolved, until killed."""

import asyncio
import sys
from itertools import count

from paddock_orchestrator.store.records import EventRow
from paddock_orchestrator.store.store import Store

# Large enough that a commit takes longer than a line takes to the killer: an id that was printed
# too early is then missing.
_DATA = b"x" * 100_000


async def main(url: str) -> None:
    store = await Store.open(url)
    numbers = count(await store.last_event_id() + 1)

    async def caller() -> None:
        while True:
            number = next(numbers)
            kept = asyncio.get_running_loop().create_future()
            row = EventRow(number, "acme", 0, "kind", "agent", None, _DATA)
            store.append_soon([row], lambda kept=kept: kept.set_result(None))  # type: ignore[misc]
            await kept
            sys.stdout.write(f"{number}\n")

    await asyncio.gather(*(caller() for _ in range(16)))


if __name__ == "__main__":
    # Each line leaves at once: what was printed and what was killed must not share a buffer.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    asyncio.run(main(sys.argv[1]))
