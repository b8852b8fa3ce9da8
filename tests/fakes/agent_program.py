"""A runner program for tests: `python agent_program.py`, configured by the environment.

What a call does depends on its data: `{"crash": true}` raises, `{"entered": path}` writes a line
there first, `{"stubborn": seconds}` takes that long to clean up, `{"until": path}` until a
file is there, which is removed then. Otherwise it repeats what it
hears; at "bye" it ends the call as "sold".
"""

import asyncio
from pathlib import Path

from paddock import AgentRunner, CallContext


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


async def entrypoint(ctx: CallContext) -> None:
    data = ctx.data
    if "entered" in data:
        note(Path(data["entered"]), ctx.session_id)
    if data.get("crash"):
        raise RuntimeError("the agent is broken")
    session = ctx.session

    async def heard(text: str) -> None:
        if text == "bye":
            ending = asyncio.create_task(session.end("sold"))
            ending.add_done_callback(lambda _: None)
        elif text.startswith("later "):
            await asyncio.sleep(0.5)
            await session.say(f"heard {text}")
        else:
            await session.say(f"heard {text}")

    session.on("user_turn")(heard)
    if data.get("greet", True):
        await session.say("hello")
    await session.run()
    if "stubborn" in data:
        await asyncio.sleep(data["stubborn"])
    while "until" in data and not removed(Path(data["until"])):  # noqa: ASYNC110
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    AgentRunner(entrypoint).start()
