"""What PostgreSQL costs a start: the production path on it, beside the same on SQLite.

Two orchestrators under the same load, in turns, with 100 connected runners. The server is a fresh
PostgreSQL with its defaults (each commit is flushed), on the same machine: it shares the two cores
with the orchestrator and the load generator, and the network is the loopback. Without targets.
"""

from bench.harness import BenchError, Server, start_orchestrator, state_folder
from bench.rows import Row
from bench.starts import CASES, Pairs, measured, rows_of
from testbed import postgres

RUNNERS = 100


def bench(*, quick: bool) -> list[Row]:
    """The rows of this benchmark."""
    rounds, seconds = (1, 1.0) if quick else (5, 2.0)
    if (lack := postgres.lack()) is not None:
        raise BenchError(lack)
    pairs: Pairs = {}
    with postgres.running(flushes=True) as database, state_folder() as one, state_folder() as other:
        servers: list[Server] = []
        try:
            servers.append(start_orchestrator(one, database_url=database.create()))
            servers.append(start_orchestrator(other))
            for _ in range(rounds):
                for case, options in CASES.items():
                    ours, sqlite = [measured(s, RUNNERS, seconds, options) for s in servers]
                    pairs.setdefault((RUNNERS, case), []).append((ours, sqlite))
        finally:
            for server in servers:
                server.end()
    return rows_of(pairs, {}, "on PostgreSQL to SQLite")
