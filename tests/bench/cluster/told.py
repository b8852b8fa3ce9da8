"""The part of an orchestrator that an operator sees, with whatever statistics a benchmark wants."""

import asyncio
import secrets
import time
from typing import Any, Self

import msgspec
from aiohttp import web

Json = dict[str, Any]
TICK_S = 1.0


class ToldOrchestrator:
    """Streams statistics and takes commands as the real one does; runners are rows, not sockets."""

    def __init__(self) -> None:
        self.pools: dict[str, Json] = {}
        self.runners: dict[str, Json] = {}
        self.declared: dict[str, Json] = {}
        """The last declaration of each pool."""
        self.declarations = 0
        self.answers_drains = True
        """Whether runners report what they hold."""
        self._dirty: set[str] = set()
        self._gone: set[str] = set()
        self._boot = secrets.token_hex(4)
        self._streams: set[web.StreamResponse] = set()
        self._over = asyncio.Event()
        self._seq: dict[web.StreamResponse, int] = {}
        self._encode = msgspec.json.Encoder().encode

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/v1/internal/stats", self._statistics)
        app.router.add_put("/v1/internal/agents/{agent}/pool", self._declare)
        app.router.add_put("/v1/internal/pools", self._renew)
        app.router.add_put("/v1/internal/drains", self._drain)
        app.router.add_delete("/v1/internal/runners/{runner}", self._forget)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ticking.cancel()
        self._over.set()
        await self._runner.cleanup()

    def pool(self, agent: str) -> Json:
        """The agent's row, to be changed; `changed` tells of it."""
        names = (
            "in_flight", "queued", "capacity", "free", "arrivals", "completions", "answered",
            "late", "refusals", "completed_last_hour", "failed_last_hour",
        )  # fmt: skip
        blank = {"agent": agent, **dict.fromkeys(names, 0)}
        extra = {"mean_call_duration_s": 0.0, "startups_ms": [], "closed": False}
        return self.pools.setdefault(agent, {**blank, **extra})

    def register(self, name: str, agent: str, uid: str, *, capacity: int, held: int = 0) -> None:
        """A runner has come."""
        self.runners[name] = {
            "runner_id": name, "agent": agent, "instance": f"{uid}.1", "revision": "",
            "connected": True, "suspect": False, "draining": False, "can_drain": True,
            "capacity": capacity, "in_flight": held, "drain_epoch": 0, "report": None,
            "startup_ms": 500, "registered_ms": int(time.time() * 1000),
            "oldest_session_ms": None,
        }  # fmt: skip
        self.pool(agent)
        self.changed(agent, name)

    def hold(self, name: str, sessions: int) -> None:
        """The runner holds so many sessions from now on."""
        row = self.runners[name]
        row["in_flight"] = sessions
        if row["report"] is not None:
            row["report"] = (row["report"][0], row["report"][1], sessions)
        self.changed(name)

    def left(self, name: str) -> None:
        if self.runners.pop(name, None) is not None:
            self._gone.add(name)

    def changed(self, *names: str) -> None:
        """These pools and runners are told of with the next line."""
        self._dirty.update(names)

    async def tell(self) -> None:
        """A line now."""
        dirty, gone = self._dirty, self._gone
        self._dirty, self._gone = set(), set()
        part = {
            "pools": [self.pools[name] for name in dirty if name in self.pools],
            "runners": [self.runners[name] for name in dirty if name in self.runners],
            "gone": list(gone),
        }
        for stream in list(self._streams):
            await self._send(stream, part)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            await self.tell()

    async def _send(self, stream: web.StreamResponse, part: Json) -> None:
        self._seq[stream] = seq = self._seq.get(stream, 0) + 1
        line = {"boot": self._boot, "seq": seq, "recovering": False, **part}
        try:
            await stream.write(self._encode(line) + b"\n")
        except ConnectionError:
            self._streams.discard(stream)

    async def _statistics(self, request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse()
        await stream.prepare(request)
        everything = {
            "pools": list(self.pools.values()), "runners": list(self.runners.values()), "gone": [],
        }  # fmt: skip
        await self._send(stream, everything)
        self._streams.add(stream)
        await self._over.wait()
        return stream

    async def _declare(self, request: web.Request) -> web.Response:
        self.declarations += 1
        self.declared[request.match_info["agent"]] = msgspec.json.decode(await request.read())
        return web.json_response({"closed": False})

    async def _renew(self, request: web.Request) -> web.Response:
        agents = msgspec.json.decode(await request.read())["agents"]
        return web.json_response({"lapsed": [a for a in agents if a not in self.declared]})

    async def _drain(self, request: web.Request) -> web.Response:
        commands = msgspec.json.decode(await request.read())["drains"]
        told = [self.answers_drains and self._told(command) for command in commands]
        return web.json_response({"told": told, "refused": []})

    def _told(self, command: Json) -> bool:
        name = command["runner_id"]
        row = self.runners.get(name)
        if row is None:
            return False
        if command["drain_epoch"] >= row["drain_epoch"]:
            row["drain_epoch"] = command["drain_epoch"]
            row["draining"] = command["mode"] == "drain"
            row["report"] = (command["drain_epoch"], command["mode"], row["in_flight"])
            self.changed(name)
        return True

    async def _forget(self, request: web.Request) -> web.Response:
        self.left(request.match_info["runner"])
        return web.json_response({})
