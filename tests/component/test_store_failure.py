"""The disk is full or the database is locked: no new calls, and the old ones go on.

A lock is noticed by the first write that has waited for it in vain; what is accepted until then is
in the log, and as durable as ever.
"""

import contextlib
import resource
import sqlite3
from collections.abc import Iterator

from component.conftest import StartRunner
from component.test_calls import heard, rest
from component.test_starting import START, refusal
from fakes.processes import Server
from fakes.waiting import eventually
from paddock.client.text import TextChannel


@contextlib.contextmanager
def locked(server: Server) -> Iterator[None]:
    """Somebody else holds the database's write lock."""
    connection = sqlite3.connect(server.database, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@contextlib.contextmanager
def full(server: Server) -> Iterator[None]:
    """No file that the server writes may grow, its log and its database's files alike."""
    limit, most = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (0, most))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (limit, most))


async def test_while_nothing_can_be_recorded_starts_are_refused_and_calls_go_on(
    server: Server, run_agent: StartRunner
) -> None:
    await run_agent()
    kept, over = await server.begin(), await server.begin()
    async with (
        TextChannel.connect(kept["textUrl"], kept["token"]) as channel,
        TextChannel.connect(over["textUrl"], over["token"]) as ending,
        server.http("public") as http,
    ):
        assert await heard(channel) == "hello"
        with locked(server):
            assert (await http.post(START)).status_code == 200

            async def noticed() -> bool:
                return (await http.get("/readyz")).status_code == 503

            await eventually(noticed)
            refused = await http.post(START)
            assert (refused.status_code, refused.json()["reason"]) == (503, "store_unavailable")
            assert int(refused.headers["Retry-After"]) >= 1
            at_once = await http.post(START)
            assert at_once.json()["reason"] == "store_unavailable"
            await channel.say("one")
            assert await heard(channel) == "heard one"
            await ending.say("bye")
            await rest(ending)

        async def recovered() -> bool:
            return (await http.get("/readyz")).status_code == 200

        await eventually(recovered)
        assert (await http.post(START)).status_code == 200
        assert await server.ended(over["sessionId"]) == ("completed", "sold")
        await channel.say("two")
        assert await heard(channel) == "heard two"

    async def only_the_new_calls() -> bool:
        return bool((await server.get("/v1/agents/desk"))["in_flight"] == 2)

    await eventually(only_the_new_calls)


async def test_a_full_disk_refuses_starts_at_once_and_lets_calls_go_on(
    server: Server, run_agent: StartRunner
) -> None:
    await run_agent()
    kept, over = await server.begin(), await server.begin()
    async with (
        TextChannel.connect(kept["textUrl"], kept["token"]) as channel,
        TextChannel.connect(over["textUrl"], over["token"]) as ending,
        server.http("public") as http,
    ):
        assert await heard(channel) == "hello"
        with full(server):
            for _ in range(2):
                refused = await http.post(START)
                refusal(refused, 503, "store_unavailable")
                assert int(refused.headers["Retry-After"]) >= 1
            await channel.say("one")
            assert await heard(channel) == "heard one"
            await ending.say("bye")
            await rest(ending)

        async def starts() -> bool:
            return (await http.post(START)).status_code == 200

        await eventually(starts)
        assert await server.ended(over["sessionId"]) == ("completed", "sold")
        await channel.say("two")
        assert await heard(channel) == "heard two"

    async def only_the_new_call() -> bool:
        return bool((await server.get("/v1/agents/desk"))["in_flight"] == 1)

    await eventually(only_the_new_call)
    assert server.exit_code is None
