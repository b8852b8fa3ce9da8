"""Who may start what, what a refusal looks like, and retries that make no second session."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from component.conftest import StartRunner
from fakes.processes import RunnerProcess, Server
from fakes.waiting import eventually

START = "/v1/public/desk/start"


def refusal(answer: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    """The answer's body, once it has the one shape of a refusal."""
    assert status == answer.status_code, answer.text
    body: dict[str, Any] = answer.json()
    assert (status, str(status), reason) == (body["status"], body["code"], body["reason"])
    assert body["error"]
    assert body["message"]
    return body


async def test_every_refusal_has_one_shape(server: Server, run_agent: StartRunner) -> None:
    async with server.http("public") as http:
        refusal(await http.post(START), 404, "unknown_agent")
        await run_agent(slots=1)
        refusal(await http.post("/v1/public/No_Such/start"), 404, "unknown_agent")
        refusal(await http.get(START), 405, "method_not_allowed")
        refusal(await http.post(START, content=b"{nonsense"), 400, "bad_json")
        refusal(await http.post(START, content=b"[1]"), 400, "bad_request")
        refusal(await http.post(START, json={"call": {"direction": "up"}}), 400, "bad_request")
        refusal(await http.post(START, json={"createDailyRoom": True}), 400, "no_room_provider")
        refusal(await http.post(START, content=b"x" * 600_000), 413, "too_large")
        refusal(await http.post(START, content=_chunks(700_000)), 413, "too_large")
        refusal(await http.post(START, headers={"Idempotency-Key": "k" * 300}), 400, "bad_request")
        assert (await http.post(START)).status_code == 200
        full = await http.post(START)
        refusal(full, 429, "at_capacity")
        assert 1 <= int(full.headers["Retry-After"]) <= 30
    for key, status, reason in (("", 401, "bad_key"), ("pk_x", 401, "bad_key")):
        async with server.http(key) as http:
            answer = await http.post(START)
            refusal(answer, status, reason)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    async with server.http("runner") as http:
        refusal(await http.post(START), 403, "wrong_scope")
    async with server.http("public") as http:
        refusal(await http.get("/v1/sessions"), 403, "wrong_scope")


async def _chunks(size: int) -> Any:
    for _ in range(size // 10_000):
        yield b"x" * 10_000


async def test_a_key_that_asks_too_often_is_told_when_to_come_again(
    server: Server, run_agent: StartRunner
) -> None:
    server.kill()
    server.options = ("--starts-per-s", "0.02", "--starts-burst", "2")
    await server.start()
    await run_agent()
    async with server.http("public") as http:
        answers = [await http.post(START) for _ in range(3)]
    assert [a.status_code for a in answers[:2]] == [200, 200]
    refusal(answers[2], 429, "rate_limited")
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 50


async def test_a_key_opens_nothing_once_it_is_revoked_or_expired(
    server: Server, run_agent: StartRunner
) -> None:
    await run_agent()
    async with server.http() as http:
        short = (await http.post("/v1/keys", json={"name": "s", "expires_in_s": 0.3})).json()
        other = (await http.post("/v1/keys", json={"name": "o", "agents": ["other"]})).json()
        made = (await http.post("/v1/keys", json={"name": "m"})).json()
        async with server.http(made["key"]) as caller:
            assert (await caller.post(START)).status_code == 200
            rolled = (await http.post(f"/v1/keys/{made['key_id']}/roll")).json()
            refusal(await caller.post(START), 401, "bad_key")
        async with server.http(rolled["key"]) as caller:
            assert (await caller.post(START)).status_code == 200
            await http.delete(f"/v1/keys/{rolled['key_id']}")
            refusal(await caller.post(START), 401, "bad_key")
        async with server.http(other["key"]) as caller:
            refusal(await caller.post(START), 403, "wrong_agent")

    async def expired() -> bool:
        async with server.http(short["key"]) as caller:
            return (await caller.post(START)).status_code == 401

    await eventually(expired)


async def test_a_key_that_is_over_is_not_rolled(server: Server) -> None:
    async with server.http() as http:
        revoked = (await http.post("/v1/keys", json={"name": "web"})).json()
        await http.delete(f"/v1/keys/{revoked['key_id']}")
        short = {"name": "short", "expires_in_s": 0.01}
        expired = (await http.post("/v1/keys", json=short)).json()
        ends = datetime.fromisoformat(expired["expires_at"])
        await eventually(lambda: datetime.now(UTC) > ends)
        before = await server.get("/v1/keys")
        for key, over in ((revoked, "revoked"), (expired, "expired")):
            answer = await http.post(f"/v1/keys/{key['key_id']}/roll")
            refusal(answer, 409, f"key_{over}")
            said = f"Key {key['name']!r} ({key['key_id']}) is {over}; create a new one"
            assert answer.json()["message"] == said
        assert await server.get("/v1/keys") == before


async def test_a_key_that_is_rolled_twice_at_once_is_rolled_once(server: Server) -> None:
    async with server.http() as http:
        made = (await http.post("/v1/keys", json={"name": "web"})).json()
        path = f"/v1/keys/{made['key_id']}/roll"
        answers = await asyncio.gather(*(http.post(path) for _ in range(5)))
    assert sorted(a.status_code for a in answers) == [201, 409, 409, 409, 409]


async def test_a_retry_with_the_same_key_gets_the_same_session_also_after_a_restart(
    server: Server, run_agent: StartRunner
) -> None:
    runner = await run_agent()
    headers = {"Idempotency-Key": "once"}
    async with server.http("public") as http:
        first = await http.post(START, json={"body": {"n": 1}}, headers=headers)
        again = await http.post(START, json={"body": {"n": 1}}, headers=headers)
        assert first.json() == again.json()
        assert "Idempotent-Replayed" not in first.headers
        assert again.headers["Idempotent-Replayed"] == "true"
        other = await http.post(START, json={"body": {"n": 2}}, headers=headers)
        refusal(other, 422, "idempotency_mismatch")
    server.kill()
    await server.start()
    await eventually(runner.connected)
    async with server.http("public") as http:
        later = await http.post(START, json={"body": {"n": 1}}, headers=headers)
    assert first.json() == later.json()
    assert len((await server.get("/v1/sessions"))["sessions"]) == 1


async def test_concurrent_starts_with_one_key_make_one_session(
    server: Server, run_agent: StartRunner
) -> None:
    await run_agent()
    async with server.http("public") as http:
        answers = await asyncio.gather(
            *(http.post(START, headers={"Idempotency-Key": "k"}) for _ in range(10))
        )
    assert [a.status_code for a in answers] == [200] * 10
    assert len({a.json()["sessionId"] for a in answers}) == 1
    assert len((await server.get("/v1/sessions"))["sessions"]) == 1


async def test_a_caller_who_leaves_while_it_waits_leaves_nothing_behind(server: Server) -> None:
    declaration = {"max_slots": 1, "growable": True}
    async with server.http() as http:
        await http.put("/v1/internal/agents/desk/pool", json=declaration)
    async with server.http("public") as http:
        waiting = [
            asyncio.create_task(http.post(START, headers=headers))
            for headers in ({}, {"Idempotency-Key": "gone"})
        ]

        async def queued() -> bool:
            return bool((await server.get("/v1/agents/desk"))["queued"] >= 1)

        await eventually(queued)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    await server.idle()
    async with server.http("public") as http:
        retried = asyncio.create_task(http.post(START, headers={"Idempotency-Key": "gone"}))
        await eventually(queued)
        retried.cancel()
        await asyncio.gather(retried, return_exceptions=True)
    await server.idle()
    assert "Traceback" not in server.text()
    assert "ASGI" not in server.text()


async def test_right_after_a_restart_a_start_without_runners_is_told_to_wait(
    server: Server, run_agent: StartRunner
) -> None:
    runner = await run_agent()
    runner.kill()
    server.kill()
    await server.start()
    async with server.http("public") as http:
        answer = await http.post(START)
    refusal(answer, 503, "recovering")
    assert answer.headers["Retry-After"] == "2"


async def test_another_organizations_sessions_and_keys_are_not_found(
    server: Server, run_agent: StartRunner
) -> None:
    await run_agent()
    started = await server.begin()
    server.kill()
    await _another_organization(server)
    await server.start()
    async with server.http("sk_other") as http:
        refusal(await http.get(f"/v1/sessions/{started['sessionId']}"), 404, "unknown_session")
        ending = await http.post(f"/v1/sessions/{started['sessionId']}/end")
        refusal(ending, 404, "unknown_session")
        refusal(await http.get("/v1/agents/desk"), 404, "unknown_agent")
        assert (await http.get("/v1/organization")).json()["organization_id"] == "other"
        mine = await http.get("/v1/keys")
        assert [k["name"] for k in mine.json()] == ["other"]
        async with server.http() as owner:
            theirs = (await owner.get("/v1/keys")).json()[0]["key_id"]
        refusal(await http.delete(f"/v1/keys/{theirs}"), 404, "unknown_key")
        assert (await http.get("/v1/sessions")).json()["sessions"] == []
        assert (await http.get("/v1/runners")).json() == []


async def _another_organization(server: Server) -> None:
    from paddock_orchestrator.keyring import digest
    from paddock_orchestrator.store.records import Key, Organization, Scope
    from paddock_orchestrator.store.store import Store

    store = await Store.open(f"sqlite:///{server.database}")
    at = int(time.time() * 1000)
    await store.create_organization(Organization("other", "other", at))
    key = Key(
        key_id="key_other", org_id="other", name="other", scope=Scope.PRIVATE,
        digest=digest("sk_other"), created_ms=at,
    )  # fmt: skip
    await store.put_key(key)
    await store.close()


@pytest.mark.parametrize("path", ["/v1/sessions?limit=0", "/v1/sessions?state=x"])
async def test_a_bad_query_is_refused_in_the_same_shape(server: Server, path: str) -> None:
    async with server.http() as http:
        refusal(await http.get(path), 422, "bad_request")


async def test_behind_a_proxy_that_ends_tls_the_text_channel_is_encrypted(tmp_path: Path) -> None:
    """Without a public URL: the address is the one the caller used."""
    server = Server(tmp_path, "--public-url", "")
    runner = RunnerProcess(server, "r1", agent="desk")
    try:
        await server.start()
        await runner.start()
        async with server.http("public") as http:
            forwarded = {"Host": "voice.example.com", "X-Forwarded-Proto": "https"}
            answer = await http.post(START, headers=forwarded)
        assert answer.json()["textUrl"].startswith("wss://voice.example.com/v1/sessions/")
    finally:
        runner.kill()
        server.kill()
