"""The disk is full or the database is locked: no new calls, and the old ones go on."""

import contextlib
import sqlite3
from collections.abc import Iterator

from component.conftest import StartRunner
from component.test_calls import heard, rest
from component.test_starting import START
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
            refused = await http.post(START)
            assert (refused.status_code, refused.json()["reason"]) == (503, "store_unavailable")
            assert int(refused.headers["Retry-After"]) >= 1
            at_once = await http.post(START)
            assert at_once.json()["reason"] == "store_unavailable"
            assert (await http.get("/readyz")).status_code == 503
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

    async def only_the_new_call() -> bool:
        return bool((await server.get("/v1/agents/desk"))["in_flight"] == 1)

    await eventually(only_the_new_call)
