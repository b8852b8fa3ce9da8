"""The `async def bot(args)` contract: an agent that brings its own transport."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from paddock._exits import contained
from paddock.context import CallContext
from paddock.session import Session

BOT_GRACE_S = 2.0
"""After its session was ended from outside, how long a bot may go on before it is cancelled."""


@dataclass(slots=True)
class SessionArguments:
    """What a bot is given. `body` equals what the caller passed, exactly; {} when it passed none.

    The names are those of Pipecat's runner arguments, so that a bot needs no change.
    """

    body: Any
    session_id: str
    session: Session
    """The call itself: `say`, `run`, `end`. A bot with a transport of its own needs none of it."""
    call: CallContext
    handle_sigint: bool = False
    handle_sigterm: bool = False
    """The runner takes the signals; a pipeline must not."""
    pipeline_idle_timeout_secs: int | None = 300
    cli_args: Any = None


Bot = Callable[[SessionArguments], Awaitable[None]]


def as_entrypoint(bot: Bot) -> Callable[[CallContext], Awaitable[None]]:
    """An entrypoint that runs `bot` once, and cancels it soon after its session was ended.

    An exception of the bot, also that of `sys.exit()`, ends the session with `error`.
    """

    async def entrypoint(ctx: CallContext) -> None:
        args = SessionArguments(
            body=ctx.data, session_id=ctx.session_id, session=ctx.session, call=ctx
        )
        work = asyncio.create_task(contained(bot, args))
        over = asyncio.shield(ctx.session._bridge.over)
        try:
            await asyncio.wait((work, over), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await asyncio.wait((work,), timeout=BOT_GRACE_S)
            if work.done():
                work.result()
        finally:
            over.cancel()
            if not work.done():
                work.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await work

    return entrypoint
