"""What an agent's code may end: its own call."""

import asyncio
import sys

import pytest

from paddock._exits import AgentExited, contained
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
