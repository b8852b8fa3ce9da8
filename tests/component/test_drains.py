"""Drain commands, many in a request: each is for one runner, and answered for itself."""

import asyncio
from typing import Any

from component.conftest import StartRunner
from fakes.processes import Server
from fakes.waiting import eventually
from paddock.protocol.words import Mode
from paddock_operator.plan.view import DrainReason, Intent
from paddock_operator.signals.link import OrchestratorLink


async def _put(server: Server, *drains: Any) -> tuple[int, Any]:
    async with server.http() as http:
        answer = await http.put("/v1/internal/drains", json={"drains": list(drains)})
    return answer.status_code, answer.json()


async def _report(server: Server, runner: str, report: list[Any]) -> None:
    async def reported() -> bool:
        found = {each["runner_id"]: each["report"] for each in await server.get("/v1/runners")}
        return bool(found[runner] == report)

    await eventually(reported, what=f"{report} of {runner}")


def _drain(runner: str, epoch: Any, **more: Any) -> dict[str, Any]:
    return {"runner_id": runner, "drain_epoch": epoch, "mode": "drain", **more}


async def test_a_senseless_command_keeps_no_other_from_its_runner(
    server: Server, run_agent: StartRunner
) -> None:
    await asyncio.gather(run_agent("r1"), run_agent("r2"))
    status, answer = await _put(
        server, _drain("r1", 1), _drain("r2", 0), "r2", _drain("r2", 1, deadline_in_s=-3),
        _drain("r2", 1), _drain("nobody", 1),
    )  # fmt: skip
    assert status == 200
    assert answer["told"] == [True, False, False, False, True, False]
    assert [why.partition(":")[0] for why in answer["refused"]] == [
        "drains.1.drain_epoch", "drains.2", "drains.3.deadline_in_s",
    ]  # fmt: skip
    assert "got '0'" in answer["refused"][0]
    await _report(server, "r1", [1, "drain", 0])
    await _report(server, "r2", [1, "drain", 0])


async def test_commands_are_relayed_in_their_order(server: Server, run_agent: StartRunner) -> None:
    await run_agent("r1")
    serve = {"runner_id": "r1", "drain_epoch": 2, "mode": "serve"}
    _, answer = await _put(server, _drain("r1", 1), serve, _drain("r1", 1))
    assert answer == {"told": [True, True, False], "refused": []}
    await _report(server, "r1", [2, "serve", 0])


async def test_a_command_for_another_instance_is_not_relayed(
    server: Server, run_agent: StartRunner
) -> None:
    await run_agent("r1")
    _, answer = await _put(server, _drain("r1", 1, instance="somebody-else"))
    assert answer["told"] == [False]


async def test_too_many_commands_are_refused_together(server: Server) -> None:
    status, answer = await _put(server, *[_drain("r1", 1)] * 1001)
    assert status == 422
    assert answer["reason"] == "bad_request"
    assert "drains" in answer["message"]
    assert "at most 1000" in answer["message"]


async def test_a_public_key_commands_nobody(server: Server, run_agent: StartRunner) -> None:
    await run_agent("r1")
    async with server.http("public") as http:
        answer = await http.put("/v1/internal/drains", json={"drains": [_drain("r1", 1)]})
    assert answer.status_code == 403


async def test_the_link_hears_of_each_runner_whether_it_was_told(
    server: Server, run_agent: StartRunner
) -> None:
    await asyncio.gather(run_agent("r1"), run_agent("r2"))
    link = OrchestratorLink(server.url, server.keys["private"])
    drain = Intent(1, Mode.DRAIN, DrainReason.SCALE_DOWN, 0.0, 60.0)

    def tell(runner: str, intent: Intent) -> Any:
        return link.tell(runner, intent, instance="", now=0.0, warn_before_s=5.0)

    try:
        asked = ("r1", drain), ("nobody", drain), ("r2", Intent(2**60)), ("r2", drain)
        told = await asyncio.gather(*(tell(runner, intent) for runner, intent in asked))
        assert told == [True, False, False, True]
        await _report(server, "r1", [1, "drain", 0])
        await _report(server, "r2", [1, "drain", 0])
    finally:
        await link.close()
