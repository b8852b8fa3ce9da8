"""Checked by mypy, never run: an agent's code as a user writes it."""

from collections.abc import AsyncIterator
from typing import Any, assert_type

from paddock import AgentRunner, CallContext, DialogAdapter, RunnerStats, Session
from paddock.bot import SessionArguments
from paddock.metrics import CallMetrics


class Plain:
    """The least that a brain has to be."""

    async def stream(
        self, text: str, context: Any = None, language: str | None = None
    ) -> AsyncIterator[str]:
        yield text


async def entrypoint(ctx: CallContext) -> None:
    assert_type(ctx.session, Session)
    assert_type(ctx.call_id, str)
    assert_type(ctx.session_id, str)
    assert_type(ctx.agent_id, str)
    assert_type(ctx.direction, str)
    assert_type(ctx.user_number, str)
    assert_type(ctx.instructions, str | None)
    assert_type(ctx.data, dict[str, Any])
    session = ctx.session
    session.data["seen"] = 1
    session.dialog_machine = Plain()
    brain: DialogAdapter | None = session.dialog_machine
    assert brain is not None
    await session.say("Hello")
    await session.interrupt()
    await session.set_filler("One moment")
    await session.recording.pause("card number")
    await session.recording.resume()
    await session.transfer_to_human("billing")
    await session.transfer_to_agent("support-en")
    assert_type(session.metrics.live(), CallMetrics)
    await session.end()
    await session.end("voicemail")
    await session.run()


async def bot(args: SessionArguments) -> None:
    assert_type(args.session_id, str)
    assert_type(args.session, Session)
    assert_type(args.call, CallContext)


def runners() -> None:
    runner = AgentRunner(entrypoint)
    assert_type(runner, AgentRunner)
    AgentRunner(
        entrypoint,
        agent_id="support-en",
        api_key="rk_",
        max_sessions=10,
        permits_per_minute=60,
        drain_timeout_s=30,
        dev_mode=True,
        base_url="http://127.0.0.1:8600",
    )
    assert_type(runner.stats(), RunnerStats)
    assert_type(runner.stats().in_flight, int)
    assert_type(runner.stats().mean_call_duration_s, float)
    runner.start()

    AgentRunner(lambda ctx: None)  # type: ignore[arg-type, return-value]
    AgentRunner(entrypoint, max_sessions="10")  # type: ignore[arg-type]


async def lifetime(runner: AgentRunner) -> None:
    await runner.run()
    await runner.shutdown()
