"""Commands gather while a request is under way, and each gets an answer of its own."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from fakes.waiting import eventually
from paddock_operator.signals import commands as module
from paddock_operator.signals.commands import MOST_AT_ONCE, Command, Commands


class Orchestrator:
    """Answers requests when the test says so."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.at_once = 0
        self._answers: asyncio.Queue[set[int] | None] = asyncio.Queue()

    async def send(self, commands: list[Command]) -> list[bool] | None:
        self.asked.append([command["n"] for command in commands])
        self.at_once += 1
        assert self.at_once == 1, "a second request is under way"
        try:
            unknown = await self._answers.get()
        finally:
            self.at_once -= 1
        return None if unknown is None else [c["n"] not in unknown for c in commands]

    def answer(self, *, unknown: tuple[int, ...] = ()) -> None:
        """All were told but these."""
        self._answers.put_nowait(set(unknown))

    def fail(self) -> None:
        self._answers.put_nowait(None)


class Table:
    def __init__(self, *, timeout_s: float = 30.0) -> None:
        self.orchestrator = Orchestrator()
        self.commands = Commands(self.orchestrator.send, timeout_s=timeout_s)

    def tell(self, *numbers: int) -> list[asyncio.Task[bool]]:
        return [asyncio.create_task(self.commands.tell({"n": n})) for n in numbers]

    async def asked(self, *requests: list[int]) -> None:
        """Until these requests were made, and no other."""
        await eventually(lambda: len(self.orchestrator.asked) >= len(requests))
        assert self.orchestrator.asked == list(requests)


@pytest.fixture
async def table() -> AsyncIterator[Table]:
    made = Table()
    yield made
    await made.commands.close()


async def test_a_lone_command_leaves_at_once(table: Table) -> None:
    (told,) = table.tell(1)
    for _ in range(3):  # turns of the loop: its task, the sender's, the request
        await asyncio.sleep(0)
    assert table.orchestrator.asked == [[1]]
    table.orchestrator.answer()
    assert await told


async def test_what_comes_while_a_request_is_under_way_rides_in_the_next(table: Table) -> None:
    first = table.tell(1)
    await table.asked([1])
    later = table.tell(2, 3, 4)
    table.orchestrator.answer()
    await table.asked([1], [2, 3, 4])
    table.orchestrator.answer()
    assert await asyncio.gather(*first, *later) == [True] * 4


async def test_each_command_has_an_answer_of_its_own(table: Table) -> None:
    told = table.tell(1, 2, 3)
    table.orchestrator.answer(unknown=(2,))
    assert await asyncio.gather(*told) == [True, False, True]


async def test_a_failed_request_is_a_false_for_all_that_wait_and_the_next_one_is_tried(
    table: Table,
) -> None:
    first = table.tell(1)
    await table.asked([1])
    later = table.tell(2, 3)
    await asyncio.sleep(0)
    table.orchestrator.fail()
    assert await asyncio.gather(*first, *later) == [False] * 3
    (again,) = table.tell(4)
    await table.asked([1], [4])
    table.orchestrator.answer()
    assert await again


async def test_a_caller_that_is_cancelled_takes_nobody_along(table: Table) -> None:
    under_way = table.tell(1, 2)
    await table.asked([1, 2])
    waiting = table.tell(3, 4)
    await asyncio.sleep(0)
    under_way[0].cancel()
    waiting[0].cancel()
    await asyncio.wait([under_way[0], waiting[0]])
    table.orchestrator.answer()
    await table.asked([1, 2], [4])
    table.orchestrator.answer()
    assert await under_way[1]
    assert await waiting[1]


async def test_who_waits_too_long_is_answered_and_not_sent_any_more() -> None:
    table = Table(timeout_s=0.05)
    first = table.tell(1)
    await table.asked([1])
    later = table.tell(2)
    assert await asyncio.gather(*first, *later) == [False, False]
    fresh = table.tell(3)
    await asyncio.sleep(0)
    table.orchestrator.answer()
    await table.asked([1], [3])
    table.orchestrator.answer()
    assert await asyncio.gather(*fresh) == [True]
    await table.commands.close()


async def test_a_request_is_no_longer_than_the_orchestrator_takes(table: Table) -> None:
    told = table.tell(*range(2 * MOST_AT_ONCE + 1))
    for _ in range(3):
        table.orchestrator.answer()
    assert all(await asyncio.gather(*told))
    lengths = [len(request) for request in table.orchestrator.asked]
    assert lengths == [MOST_AT_ONCE, MOST_AT_ONCE, 1]


async def test_one_command_too_many_is_not_kept(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    told = table.tell(1)
    await table.asked([1])
    told += table.tell(2, 3)
    await asyncio.sleep(0)
    assert await table.commands.tell({"n": 4}) is False
    table.orchestrator.answer()
    table.orchestrator.answer()
    assert all(await asyncio.gather(*told))


@pytest.mark.parametrize("begun", [True, False])
async def test_closing_answers_all_that_wait(table: Table, begun: bool) -> None:
    told = table.tell(1)
    if begun:
        await table.asked([1])
        told += table.tell(2)
    await asyncio.sleep(0)
    await table.commands.close()
    assert not any(await asyncio.gather(*told))
    assert await table.commands.tell({"n": 3}) is False
