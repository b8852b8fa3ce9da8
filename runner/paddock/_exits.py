"""An agent's code may end its own call, and never the process: other calls are on in it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class AgentExited(Exception):
    """An agent's code asked for the end of the process; says what to do instead."""

    def __init__(self, why: BaseException) -> None:
        code = "" if getattr(why, "code", None) is None else repr(why.code)  # type: ignore[attr-defined]
        what = f"sys.exit({code})" if isinstance(why, SystemExit) else type(why).__name__
        super().__init__(
            f"{what} would end every call of this runner, so it ended this one: "
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
