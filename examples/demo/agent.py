"""The demo's agent: greets, and thinks for a moment before it says back what it hears."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from paddock import AgentRunner, CallContext


class Parrot:
    async def stream(
        self, text: str, context: Any = None, language: str | None = None
    ) -> AsyncIterator[str]:
        await asyncio.sleep(0.15)
        for word in ("You", "said:", *text.split()):
            yield word + " "
            await asyncio.sleep(0.02)


async def handle_call(ctx: CallContext) -> None:
    ctx.session.dialog_machine = Parrot()
    await ctx.session.say("Hello, this is the demo. How can I help?")
    await ctx.session.run()


if __name__ == "__main__":
    AgentRunner(entrypoint=handle_call, permits_per_minute=600).start()
