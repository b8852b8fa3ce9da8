"""A client that only sends requests, in a process of its own: what an API server takes of anybody.

Reads commands as lines of JSON and answers each with one: when it began and ended (monotonic
seconds), and how long each request took.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from testbed.kubeconfig import Access, read

Json = dict[str, Any]
LOOK_S = 0.25


class Raw:
    def __init__(self, access: Access, session: aiohttp.ClientSession) -> None:
        self._server = access.server
        self._session = session

    async def ask(self, method: str, path: str, body: Json | None, kind: str) -> Json:
        data = None if body is None else json.dumps(body)
        async with self._session.request(
            method, self._server + path, data=data, headers={"Content-Type": kind}
        ) as answer:
            text = await answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]!r}")
            found: Json = json.loads(text)
            return found

    async def create(self, path: str, names: list[str], body: Json, **_: Any) -> Any:
        def one(name: str) -> Awaitable[Json]:
            metadata = {**body["metadata"], "name": name}
            return self.ask("POST", path, {**body, "metadata": metadata}, "application/json")

        return one, names

    async def patch(self, path: str, names: list[str], annotations: Json, **_: Any) -> Any:
        """Compare-and-swap of annotations, at versions that are read before it begins."""
        pods = (await self.ask("GET", path, None, ""))["items"]
        versions = {p["metadata"]["name"]: p["metadata"]["resourceVersion"] for p in pods}

        def one(name: str) -> Awaitable[Json]:
            metadata = {"resourceVersion": versions[name], "annotations": annotations}
            kind = "application/merge-patch+json"
            return self.ask("PATCH", f"{path}/{name}", {"metadata": metadata}, kind)

        return one, names

    async def delete(self, path: str, names: list[str], **_: Any) -> Any:
        return lambda name: self.ask("DELETE", f"{path}/{name}", None, ""), names

    async def list(self, path: str, **_: Any) -> Any:
        return lambda query: self.ask("GET", f"{path}?{query}", None, ""), [""]


async def timed(one: Callable[[str], Awaitable[Any]], names: list[str], in_flight: int) -> Json:
    room, each = asyncio.Semaphore(in_flight), []

    async def go(name: str) -> None:
        async with room:
            began = time.monotonic()
            await one(name)
            each.append(time.monotonic() - began)

    began = time.monotonic()
    await asyncio.gather(*map(go, names))
    return {"began": began, "ended": time.monotonic(), "each": each}


async def watch_loop(late: list[float]) -> None:
    """How late a loop with nothing to do is: what the machine alone does."""
    while True:
        due = time.monotonic() + LOOK_S
        await asyncio.sleep(LOOK_S)
        late.append(time.monotonic() - due)


async def main(kubeconfig: Path) -> None:
    access = read(kubeconfig)
    connector = aiohttp.TCPConnector(ssl=access.tls or True, limit=0)
    headers = {"Authorization": f"Bearer {access.token}", "Accept": "application/json"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        raw = Raw(access, session)
        late: list[float] = []
        watching = asyncio.create_task(watch_loop(late))
        while line := await asyncio.to_thread(sys.stdin.readline):
            command = json.loads(line)
            if command["do"] == "lag":
                print(json.dumps({"worst": max(late, default=0.0)}), flush=True)
                late.clear()
                continue
            one, names = await getattr(raw, command["do"])(**command)
            result = await timed(one, names, command.get("in_flight", 16))
            print(json.dumps(result), flush=True)
        watching.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubeconfig", type=Path, required=True)
    asyncio.run(main(parser.parse_args().kubeconfig))
