"""Whose turn it is, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable

from hypothesis import given
from hypothesis import strategies as st

from fakes.simulated.loop import VirtualLoop
from paddock_operator.reconcile.queue import FIRST_BACKOFF_S, LONGEST_BACKOFF_S, KeyedQueue

Play = Callable[[KeyedQueue[str]], Awaitable[None]]


def play(work: Play) -> None:
    async def run() -> None:
        await work(KeyedQueue())

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_key_that_waits_comes_once() -> None:
    async def work(queue: KeyedQueue[str]) -> None:
        queue.add("a")
        queue.add("a")
        assert await queue.get() == "a"
        queue.done("a")
        assert len(queue) == 0

    play(work)


def test_a_key_is_not_handed_out_while_it_is_worked_on_and_again_afterwards() -> None:
    async def work(queue: KeyedQueue[str]) -> None:
        queue.add("a")
        await queue.get()
        queue.add("a")
        assert len(queue) == 0
        queue.done("a")
        assert await queue.get() == "a"

    play(work)


def test_a_key_comes_when_its_time_has_come_and_at_the_earliest_of_several() -> None:
    async def work(queue: KeyedQueue[str]) -> None:
        queue.add_after("a", 9.0)
        queue.add_after("a", 3.0)
        queue.add_after("a", 6.0)
        assert await queue.get() == "a"
        assert now() == 3.0
        queue.done("a")
        queue.add_after("b", 20.0)
        assert (await queue.get(), now()) == ("b", 23.0)

    play(work)


def test_a_time_set_while_a_key_is_worked_on_is_kept() -> None:
    async def work(queue: KeyedQueue[str]) -> None:
        queue.add("a")
        await queue.get()
        queue.add_after("a", 1.0)
        queue.done("a")
        assert (await queue.get(), now()) == ("a", 1.0)

    play(work)


def test_failures_in_a_row_wait_longer_and_longer_but_not_for_ever() -> None:
    async def work(queue: KeyedQueue[str]) -> None:
        queue.add("a")
        delays = []
        for _ in range(12):
            key = await queue.get()
            delays.append(queue.failed(key))
        assert 0.7 * FIRST_BACKOFF_S <= delays[0] <= 1.3 * FIRST_BACKOFF_S
        assert delays[4] > delays[0] * 4
        assert max(delays) <= 1.3 * LONGEST_BACKOFF_S
        queue.done(await queue.get())
        queue.add("a")
        assert queue.failed(await queue.get()) <= 1.3 * FIRST_BACKOFF_S

    play(work)


def test_a_forgotten_key_comes_no_more_unless_it_is_added_again() -> None:
    async def work(queue: KeyedQueue[str]) -> None:
        queue.add_after("a", 1.0)
        queue.forget("a")
        queue.add_after("b", 2.0)
        assert await queue.get() == "b"
        queue.add("a")
        assert await queue.get() == "a"

    play(work)


def test_who_waits_is_woken_by_a_key_that_comes_sooner_than_expected() -> None:
    async def work(queue: KeyedQueue[str]) -> None:
        queue.add_after("late", 50.0)
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(1.0)
        queue.add("soon")
        assert await waiting == "soon"
        assert now() == 1.0

    play(work)


def test_the_oldest_keys_wait_is_measured() -> None:
    async def work(queue: KeyedQueue[str]) -> None:
        assert queue.oldest_s() == 0.0
        queue.add("a")
        await asyncio.sleep(2.0)
        queue.add("b")
        assert queue.oldest_s() == 2.0

    play(work)


steps = st.lists(
    st.tuples(st.sampled_from(("add", "after", "done", "failed")), st.sampled_from("abc"),
              st.floats(0.0, 5.0)), max_size=40,
)  # fmt: skip


@given(steps)
def test_no_key_is_worked_on_twice_at_once_and_none_that_was_added_is_forgotten(
    story: list[tuple[str, str, float]],
) -> None:
    async def work(queue: KeyedQueue[str]) -> None:
        working: list[str] = []
        owed: set[str] = set()

        async def take() -> None:
            while True:
                key = await queue.get()
                assert key not in working
                working.append(key)
                owed.discard(key)

        taking = asyncio.create_task(take())
        for verb, key, seconds in story:
            if verb == "add":
                queue.add(key)
                owed.add(key)
            elif verb == "after":
                queue.add_after(key, seconds)
                owed.add(key)
            elif working:
                (queue.done if verb == "done" else queue.failed)(working.pop(0))
            await asyncio.sleep(seconds)
        for _ in range(10):
            while working:
                queue.done(working.pop(0))
            await asyncio.sleep(LONGEST_BACKOFF_S)
        assert not owed
        taking.cancel()

    play(work)
