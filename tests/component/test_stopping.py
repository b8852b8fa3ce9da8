"""A runner can be stopped at any time, and that once is enough."""

import asyncio

import pytest

from fakes.waiting import PATIENCE_S
from paddock import AgentRunner, CallContext


async def entrypoint(ctx: CallContext) -> None:
    raise AssertionError("nobody calls")


@pytest.fixture
def runner() -> AgentRunner:
    """Its orchestrator does not listen."""
    return AgentRunner(entrypoint, "desk", "rk_x", base_url="http://127.0.0.1:9")


async def _over(runner: AgentRunner, run: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(PATIENCE_S):
        await run
        await asyncio.gather(runner.shutdown(), runner.shutdown())


async def test_a_stop_before_the_first_step_of_the_run_is_kept(runner: AgentRunner) -> None:
    run = asyncio.create_task(runner.run())
    await runner.shutdown()
    await _over(runner, run)


async def test_a_stopped_runner_that_is_run_again_returns(runner: AgentRunner) -> None:
    run = asyncio.create_task(runner.run())
    await asyncio.sleep(0)
    await runner.shutdown()
    await _over(runner, run)
    await _over(runner, asyncio.create_task(runner.run()))


async def test_a_cancelled_runner_may_be_run_again_and_stopped(runner: AgentRunner) -> None:
    run = asyncio.create_task(runner.run())
    await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    run = asyncio.create_task(runner.run())
    await asyncio.sleep(0)
    await runner.shutdown()
    await _over(runner, run)


async def test_stopping_a_runner_that_never_ran_waits_for_nothing(runner: AgentRunner) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(runner.shutdown(), runner.shutdown())
