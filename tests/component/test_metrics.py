"""What an orchestrator and a runner tell a scraper, after things have happened to it."""

from typing import Any

import httpx
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.parser import text_string_to_metric_families

from component.conftest import StartRunner
from fakes.processes import RunnerProcess, Server, free_port
from fakes.waiting import eventually

START = "/v1/public/desk/start"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scraped(server: Server) -> Samples:
    async with server.http("") as http:
        return parsed((await http.get("/metrics")).text)


def of(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"paddock_orchestrator_{name}", frozenset(labels.items())))


async def shows(runner: RunnerProcess) -> None:
    """The runner's metrics can be scraped: a runner that is registered need not be so far."""
    await eventually(lambda: "/metrics" in runner.text(), what="metrics of the runner")


DESK: dict[str, Any] = {"organization": "default", "agent": "desk"}


async def test_the_figures_of_a_runner_are_there_for_each_agent(
    server: Server, run_agent: StartRunner
) -> None:
    await run_agent(slots=3)
    await server.begin(crash=True)
    await server.idle()
    started = await server.begin()
    samples = await scraped(server)

    assert of(samples, "sessions", state="in_flight", **DESK) == 1
    assert of(samples, "sessions", state="queued", **DESK) == 0
    assert of(samples, "capacity", **DESK) == 3
    assert of(samples, "sessions_last_hour", outcome="failed", **DESK) == 1
    assert of(samples, "sessions_last_hour", outcome="completed", **DESK) == 0
    assert of(samples, "session_mean_seconds", **DESK) is not None
    assert of(samples, "start_seconds_count") == 2
    assert of(samples, "sockets", kind="runner") == 1

    async with server.http() as http:
        await http.post(f"/v1/sessions/{started['sessionId']}/end", json={})
    await server.ended(started["sessionId"])
    samples = await scraped(server)
    assert of(samples, "completions_total", **DESK) == 2
    assert of(samples, "sessions_ended_total", reason="error", **DESK) == 1


async def test_every_start_that_got_no_session_is_counted_once(
    server: Server, run_agent: StartRunner
) -> None:
    async with server.http("public") as http:
        assert (await http.post(START)).status_code == 404
        await run_agent(slots=1)
        assert (await http.post(START)).status_code == 200
        assert (await http.post(START)).status_code == 429
        assert (await http.post(START, content=b"{nonsense")).status_code == 400
    async with server.http("pk_x") as http:
        assert (await http.post(START)).status_code == 401
    samples = await scraped(server)

    assert of(samples, "refusals_total", reason="at_capacity", **DESK) == 1
    assert of(samples, "refusals_total", reason="queue_full", **DESK) == 0, "there from the first"
    rejected = {
        dict(labels)["reason"]: value
        for (name, labels), value in samples.items()
        if name.endswith("starts_rejected_total") and value
    }
    assert rejected == {"unknown_agent": 1, "bad_json": 1, "bad_key": 1}


async def test_a_lost_session_is_counted_by_how(server: Server, run_agent: StartRunner) -> None:
    runner = await run_agent(slots=1)
    started = await server.begin()
    runner.kill()
    async with server.http() as http:
        assert (await http.delete("/v1/internal/runners/r1")).status_code == 200
    await server.ended(started["sessionId"])

    async def counted() -> bool:
        samples = await scraped(server)
        return of(samples, "sessions_lost_total", cause="runner_gone", **DESK) == 1

    await eventually(counted, what="the loss")


async def test_a_runner_shows_what_its_stats_say(server: Server, run_agent: StartRunner) -> None:
    port = free_port()
    await shows(await run_agent(slots=3, PADDOCK_METRICS_PORT=str(port)))
    await server.begin(crash=True)
    await server.idle()
    await server.begin()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        assert (await http.get("/elsewhere")).status_code == 404
        samples = parsed((await http.get("/metrics")).text)

    desk = ("agent", "desk")
    found = {
        (name.removeprefix("paddock_runner_"), *(v for k, v in labels if k != "agent")): value
        for (name, labels), value in samples.items()
        if desk in labels
    }
    assert found["in_flight",] == 1
    assert found["queued",] == 0
    assert found["capacity",] == 3
    assert found["connected",] == 1
    assert found["draining",] == 0
    assert found["sessions_last_hour", "failed"] == 1
    assert found["sessions_last_hour", "completed"] == 0
    assert found["sessions_ended_total", "error"] == 1


async def test_a_scraper_gets_prometheus_text_whatever_it_would_rather_have(
    server: Server, run_agent: StartRunner
) -> None:
    port = free_port()
    await shows(await run_agent(slots=3, PADDOCK_METRICS_PORT=str(port)))
    wish = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3"
    for url in (server.url, f"http://127.0.0.1:{port}"):
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            answer = await http.get("/metrics", headers={"Accept": wish})
        assert answer.headers["content-type"] == CONTENT_TYPE_PLAIN_0_0_4
        assert parsed(answer.text)


async def test_a_runner_whose_metrics_port_is_taken_takes_calls(
    server: Server, run_agent: StartRunner
) -> None:
    port = str(free_port())
    await shows(await run_agent("first", slots=1, PADDOCK_METRICS_PORT=port))
    second = await run_agent("second", slots=1, PADDOCK_METRICS_PORT=port)
    await eventually(lambda: "metrics_not_shown" in second.text(), what="its complaint")
    await server.begin()
    await server.begin()
