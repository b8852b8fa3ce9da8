"""A runner program for tests: `python agent_program.py`, configured by the environment.

What a call does depends on its data: `{"crash": true}` raises, `{"exit": "bot"}` asks for the end
of the process in one of the EXITS, `{"entered": path}` writes a line there first, `{"stubborn":
seconds}` takes that long to clean up, `{"until": path}` until a file is there, which is removed
then, `{"mute": true}` greets and says no more. Otherwise it repeats what it hears, of which
`{"brief": true}` leaves the first word; at "bye" it ends the call as "sold".
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from paddock import AgentRunner, CallContext
from paddock.bot import SessionArguments, as_entrypoint


def note(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(f"{text}\n")


def removed(path: Path) -> bool:
    """Whether it was there; it is no more."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


async def exiting(ctx: CallContext) -> None:
    sys.exit(0)


async def interrupted(ctx: CallContext) -> None:
    raise KeyboardInterrupt


async def exiting_bot(args: SessionArguments) -> None:
    sys.exit(0)


async def exiting_task(ctx: CallContext) -> None:
    await asyncio.gather(asyncio.create_task(exiting(ctx)))


class Quitter:
    """A brain that answers nothing."""

    async def stream(self, text: str) -> AsyncIterator[str]:
        yield "good"
        sys.exit(0)


async def exiting_in_a_turn(ctx: CallContext) -> None:
    ctx.session.dialog_machine = Quitter()
    await ctx.session.run()


EXITS = {
    "entrypoint": exiting,
    "interrupt": interrupted,
    "task": exiting_task,
    "bot": as_entrypoint(exiting_bot),
    "turn": exiting_in_a_turn,
}


async def entrypoint(ctx: CallContext) -> None:
    data = ctx.data
    if "entered" in data:
        note(Path(data["entered"]), ctx.session_id)
    if data.get("crash"):
        raise RuntimeError("the agent is broken")
    if "exit" in data:
        await EXITS[data["exit"]](ctx)
        return
    session = ctx.session

    async def heard(text: str) -> None:
        if text == "bye":
            ending = asyncio.create_task(session.end("sold"))
            ending.add_done_callback(lambda _: None)
        elif data.get("mute"):
            return
        elif text.startswith("later "):
            await asyncio.sleep(0.5)
            await session.say(f"heard {text}")
        else:
            await session.say(f"heard {text.split()[0] if data.get('brief') else text}")

    async def warned(seconds: float) -> None:
        await session.say(f"warned {seconds:.0f} s before the end")

    session.on("user_turn")(heard)
    session.on("drain_warning")(warned)
    if data.get("greet", True):
        await session.say("hello")
    await session.run()
    if "stubborn" in data:
        await asyncio.sleep(data["stubborn"])
    while "until" in data and not removed(Path(data["until"])):  # noqa: ASYNC110
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    AgentRunner(entrypoint).start()
