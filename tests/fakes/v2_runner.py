"""A runner that speaks exactly the v2 protocol, over real sockets, and dislikes all else."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from fakes.waiting import PATIENCE_S

_TO_RUNNER: dict[str, dict[str, type]] = {
    "registered": {"heartbeat_interval_s": int, "transport_ack": str},
    "job.assign": {
        "job_id": str, "call_id": str, "agent_id": str, "bridge_url": str, "call_token": str,
        "assign_id": str, "deadline_ms": int,
    },
    "job.cancel": {"job_id": str},
}  # fmt: skip
_EVENTS = [
    "user.text", "user.interrupted", "error", "metric", "turn.metrics", "state", "call.started",
]  # fmt: skip
_VERBS = [
    "agent.text.delta", "agent.text.end", "agent.say", "agent.transfer", "agent.end_call",
    "agent.dispatch", "agent.add_participant", "agent.remove_participant", "agent.merge",
]  # fmt: skip


class V2Runner:
    """`complaints` collects what a v2 runner could not have understood."""

    def __init__(self, url: str, key: str, *, acks: bool = True, capacity: int = 2) -> None:
        self.url = url.replace("http", "ws")
        self.key = key
        self.acks = acks
        self.capacity = capacity
        self.complaints: list[str] = []
        self.heard: list[dict[str, Any]] = []
        self.assigned: list[dict[str, Any]] = []
        self.metadata: list[dict[str, Any]] = []
        self.calls = 0
        self.bridges: list[ClientConnection] = []
        self.registered = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "V2Runner":
        self._begin(self._control())
        async with asyncio.timeout(PATIENCE_S):
            await self.registered.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)

    async def _control(self) -> None:
        async with connect(
            f"{self.url}/v1/internal/workers",
            additional_headers={"Authorization": f"Bearer {self.key}"},
            proxy=None,
        ) as socket:
            capabilities = {
                "voice_profiles": [], "max_concurrent": self.capacity, "agent_id": "desk",
                "transport": "dial_out", "kind": "brain", "hostname": "h", "address": "10.0.0.1",
                "region": None, "deployment": "local",
            }  # fmt: skip
            register = {"type": "register", "worker_id": "desk#1a2b3c4d", "pool": "desk"}
            await socket.send(json.dumps({**register, "capabilities": capabilities}))
            first = json.loads(await socket.recv())
            if first["type"] != "registered" or first["transport_ack"] != "dial_out":
                self.complaints.append(f"first frame: {first}")
            self._check(first)
            self._begin(self._beat(socket))
            self.registered.set()
            async for message in socket:
                await self._take(socket, json.loads(message))

    def _check(self, frame: dict[str, Any]) -> None:
        fields = _TO_RUNNER.get(frame.get("type", ""))
        if fields is None:
            self.complaints.append(f"unknown frame {frame}")
            return
        for name, kind in fields.items():
            if type(frame.get(name)) is not kind:
                self.complaints.append(f"{frame['type']}.{name}: {frame.get(name)!r}")

    async def _beat(self, socket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                beat = {
                    "type": "heartbeat",
                    "active_jobs": self.calls,
                    "worker_id": "desk#1a2b3c4d",
                }
                await socket.send(json.dumps(beat))
                await asyncio.sleep(0.2)

    async def _take(self, socket: ClientConnection, frame: dict[str, Any]) -> None:
        self._check(frame)
        if frame["type"] != "job.assign":
            return
        self.assigned.append(frame)
        if self.acks:
            self._begin(self._call(frame))
            ack = {
                "type": "job.ack", "job_id": frame["job_id"], "assign_id": frame["assign_id"],
                "accepted": True, "reason": None,
            }  # fmt: skip
            await socket.send(json.dumps(ack))

    async def _call(self, job: dict[str, Any]) -> None:
        async with connect(f"{job['bridge_url']}?token={job['call_token']}", proxy=None) as bridge:
            hello = {"event": "hello", "protocol_version": 2}
            await bridge.send(
                json.dumps({**hello, "supported_events": _EVENTS, "supported_verbs": _VERBS})
            )
            ack = json.loads(await bridge.recv())
            for name in ("call_id", "session_id", "job_id", "room_id"):
                if not isinstance(ack.get(name), str):
                    self.complaints.append(f"hello.ack.{name}: {ack.get(name)!r}")
            started = json.loads(await bridge.recv())
            if (ack["event"], started["event"]) != ("hello.ack", "call.started"):
                self.complaints.append(f"handshake: {ack} {started}")
            self.metadata.append(started["metadata"])
            self.calls += 1
            self.bridges.append(bridge)
            try:
                await bridge.send(json.dumps({"event": "agent.say", "text": "hello"}))
                async for message in bridge:
                    await self._event(bridge, json.loads(message))
            finally:
                self.calls -= 1
                self.bridges.remove(bridge)

    async def _event(self, bridge: ClientConnection, event: dict[str, Any]) -> None:
        if event["event"] not in _EVENTS:
            self.complaints.append(f"unknown event {event}")
        self.heard.append(event)
        if event["event"] == "user.text":
            for verb in _reply(event["text"]):
                await bridge.send(json.dumps(verb))


def _reply(text: str) -> list[dict[str, Any]]:
    say: Callable[[str], dict[str, Any]] = lambda words: {"event": "agent.say", "text": words}  # noqa: E731
    if text == "bye":
        return [{"event": "agent.end_call", "reason": "sold"}]
    if text == "sentinels":
        sentinels = ["__filler:hm", "__recording_pause:card", "__recording_resume"]
        return [*map(say, sentinels), {"event": "agent.text.end"}]
    deltas = [{"event": "agent.text.delta", "text": w} for w in ("heard ", text)]
    return [*deltas, {"event": "agent.text.end"}]
