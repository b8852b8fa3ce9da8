"""A runner program for tests: `python agent_program.py`, configured by the environment.

What a call does depends on its data: `{"crash": true}` raises, `{"entered": path}` writes a line
there first, `{"stubborn": seconds}` takes that long to clean up. Otherwise it repeats what it
hears; at "bye" it ends the call as "sold".
"""

import asyncio
from pathlib import Path

from paddock import AgentRunner, CallContext


async def entrypoint(ctx: CallContext) -> None:
    data = ctx.data if isinstance(ctx.data, dict) else {}
    if "entered" in data:
        with Path(data["entered"]).open("a") as file:
            file.write(f"{ctx.session_id}\n")
    if data.get("crash"):
        raise RuntimeError("the agent is broken")
    session = ctx.session

    @session.on("user_turn")
    async def heard(text: str) -> None:
        if text == "bye":
            ending = asyncio.create_task(session.end("sold"))
            ending.add_done_callback(lambda _: None)
        elif text.startswith("later "):
            await asyncio.sleep(0.5)
            await session.say(f"heard {text}")
        else:
            await session.say(f"heard {text}")

    if data.get("greet", True):
        await session.say("hello")
    await session.run()
    if "stubborn" in data:
        await asyncio.sleep(data["stubborn"])


if __name__ == "__main__":
    AgentRunner(entrypoint).start()
