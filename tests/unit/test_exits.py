"""What an agent's code may end: its own call."""

import asyncio
import gc
import sys

import pytest

from paddock._exits import AgentExited, contained, run_to_its_end
from paddock.hooks import Hooks


class Odd(BaseException):
    """Nothing that `except Exception` catches."""


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (SystemExit(), "sys.exit() would"),
        (SystemExit(0), "sys.exit(0) would"),
        (SystemExit("no key"), "sys.exit('no key') would"),
        (KeyboardInterrupt(), "KeyboardInterrupt would"),
        (Odd(), "Odd would"),
    ],
)
async def test_what_would_end_the_process_is_an_error_that_says_what_to_do(
    raised: BaseException, said: str
) -> None:
    async def code() -> None:
        raise raised

    with pytest.raises(AgentExited, match="return, raise an Exception") as caught:
        await asyncio.create_task(contained(code))
    assert str(caught.value).startswith(said)
    assert caught.value.__cause__ is raised


async def test_results_errors_and_cancellation_stay_what_they_are() -> None:
    async def answer(value: int) -> int:
        return value

    async def wrong() -> None:
        raise LookupError("x")

    assert await contained(answer, 3) == 3
    with pytest.raises(LookupError):
        await contained(wrong)
    waiting = asyncio.create_task(contained(asyncio.Event().wait))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_hook_that_exits_keeps_no_other_from_being_called() -> None:
    hooks, called = Hooks(["call_start"]), []

    @hooks.on("call_start")
    def first() -> None:
        sys.exit(1)

    @hooks.on("call_start")
    async def second() -> None:
        called.append("second")

    await asyncio.create_task(hooks.fire("call_start"))
    assert called == ["second"]


def test_an_exit_in_a_task_that_nobody_awaits_ends_that_task_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done: list[str] = []

    async def leave() -> None:
        sys.exit("enough")

    async def other() -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        done.append("other")

    async def main() -> None:
        leaving, going_on = asyncio.create_task(leave()), asyncio.create_task(other())
        asyncio.get_running_loop().call_soon(sys.exit, 3)
        await asyncio.wait([leaving, going_on])
        assert isinstance(leaving.exception(), SystemExit)
        done.append("main")

    run_to_its_end(main())
    assert done == ["other", "main"]
    said = [str(vars(record)["why"]) for record in caplog.records]
    assert [why.split(" would ")[0] for why in said] == ["sys.exit('enough')", "sys.exit(3)"]


@pytest.mark.parametrize("raised", [SystemExit(2), KeyboardInterrupt(), LookupError("x")])
def test_what_ends_the_main_task_ends_it_all(raised: BaseException) -> None:
    async def main() -> None:
        raise raised

    with pytest.raises(type(raised)):
        run_to_its_end(main())
    gc.collect()  # asyncio tells of an interrupted task when it goes: now, and not during an import


def test_an_exit_at_the_moment_of_the_end_takes_nothing_from_it() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(sys.exit, 3)

    run_to_its_end(main())
