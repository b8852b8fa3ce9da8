"""An agent's code may end its own call, and never the process: other calls are on in it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

log = logging.getLogger("paddock.runner")

_OF_ALL = "would end every call of this runner"

P = ParamSpec("P")
T = TypeVar("T")


class AgentExited(Exception):
    """An agent's code asked for the end of the process; says what to do instead."""

    def __init__(self, why: BaseException) -> None:
        super().__init__(
            f"{_name(why)} {_OF_ALL}, so it ended this one: "
            "return, raise an Exception, or await session.end() instead"
        )


async def contained(code: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Await an agent's code. What asyncio would end the process for is raised as `AgentExited`.

    Cancellation stays what it is.
    """
    try:
        return await code(*args, **kwargs)
    except (Exception, asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as why:
        raise AgentExited(why) from why


def run_to_its_end(main: Coroutine[Any, Any, None]) -> None:
    """As `asyncio.run`, but only the end of `main` is the end.

    asyncio ends its loop where a task or a callback that nobody awaits, such as one that an agent
    began, raises `SystemExit`. Here that task is over, it is logged, and the loop goes on.
    """
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        task = loop.create_task(main)
        while not task.done():
            try:
                loop.run_until_complete(task)
            except SystemExit as why:
                if not task.done():
                    said = f"{_name(why)} {_OF_ALL}"
                    log.error("exit_refused", extra={"why": said}, exc_info=why)
        task.result()


def _name(why: BaseException) -> str:
    code = "" if getattr(why, "code", None) is None else repr(why.code)  # type: ignore[attr-defined]
    return f"sys.exit({code})" if isinstance(why, SystemExit) else type(why).__name__
