"""The smallest agent: greets, and says back what it hears."""

from paddock import AgentRunner, CallContext


class Echo:
    async def stream(self, text, context=None, language=None):
        for word in f"You said: {text}".split(" "):
            yield word + " "


async def handle_call(ctx: CallContext) -> None:
    ctx.session.dialog_machine = Echo()
    await ctx.session.say("Hello, thanks for calling!")
    await ctx.session.run()


runner = AgentRunner(entrypoint=handle_call, agent_id="hello")

if __name__ == "__main__":
    runner.start()
