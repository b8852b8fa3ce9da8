"""The management client: start, watch and end sessions from a backend, a script or the CLI."""

import os
import secrets
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from paddock.client.records import (
    Agent,
    Key,
    Organization,
    Runner,
    SessionPage,
    SessionRecord,
    Started,
    convert,
)
from paddock.client.server import Server, find_server
from paddock.client.transport import Answer, Transport
from paddock.errors import ConfigurationError

if TYPE_CHECKING:
    from paddock.client.events import Events

TOKEN_HEADER = "Idempotency-Key"
REPLAYED_HEADER = "idempotent-replayed"


class AsyncClient:
    """One orchestrator, through one key.

    `api_key` and `base_url` fall back to PADDOCK_API_KEY and PADDOCK_BASE_URL, then to the context
    in use. A private key (`sk_`) does everything; a public one (`pk_`) starts sessions.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        timeout_s: float = 30,
        retries: int = 2,
        max_connections: int = 256,
    ) -> None:
        """`retries` bounds how often a request that may be repeated is; 0 shows every refusal.

        Raises `ConfigurationError` for an unusable address or context file.
        """
        if not timeout_s > 0:
            raise ConfigurationError(f"timeout_s: got {timeout_s!r}, expected more than 0")
        self.server: Server = find_server(api_key, base_url, os.environ)
        self._transport = Transport(
            self.server.url,
            timeout_s=timeout_s,
            retries=max(0, retries),
            max_connections=max_connections,
        )
        self.agents = Agents(self)
        self.runners = Runners(self)
        self.sessions = Sessions(self)
        self.keys = Keys(self)

    @property
    def events(self) -> "Events":
        """What happens, as it happens."""
        from paddock.client.events import Events

        return Events(self._transport, self._key(self.server.key))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections; safe to call more than once."""
        await self._transport.close()

    async def start(
        self,
        agent: str,
        data: Any = None,
        *,
        call: dict[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Started:
        """Start a session; returns when a runner has taken it.

        The entrypoint finds `data` in `ctx.data`, exactly; `call` may hold `direction`,
        `user_number` and `instructions`. A lost answer is asked for again without starting a
        second session. Raises `AtCapacity`, `NotFound`, `Unavailable` and other `ApiError`s.
        """
        body: dict[str, Any] = {"body": {} if data is None else data}
        if call is not None:
            body["call"] = call
        answer = await self._transport.ask(
            "POST",
            f"/v1/public/{quote(agent, safe='@')}/start",
            key=self._key(self.server.start_key),
            body=body,
            headers={TOKEN_HEADER: idempotency_key or secrets.token_urlsafe(18)},
        )
        raw = answer.body if isinstance(answer.body, dict) else {}
        facts = {
            "session_id": raw.get("sessionId"),
            "agent": raw.get("agent", agent),
            "token": raw.get("token", ""),
            "text_url": raw.get("textUrl", ""),
            "replayed": answer.headers.get(REPLAYED_HEADER) == "true",
        }
        return convert(facts, Started)

    async def organization(self) -> Organization:
        """The organization of the key."""
        return convert(await self.ask("GET", "/v1/organization"), Organization)

    async def ask_openly(self, path: str) -> Any:
        """The JSON of a path that asks for no key. Raises `ApiError`."""
        return (await self._transport.ask("GET", path, key="", repeatable=False)).body

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, Any] | None = None,
        body: Any = None,
        repeatable: bool = True,
    ) -> Any:
        """The JSON of any management path, for what has no method here. Raises `ApiError`."""
        answer: Answer = await self._transport.ask(
            method,
            path,
            key=self._key(self.server.key),
            params=params,
            body=body,
            repeatable=repeatable,
        )
        return answer.body

    def _key(self, key: str) -> str:
        if not key:
            raise ConfigurationError(
                f"no API key for {self.server.url}: pass api_key (--api-key), set "
                "PADDOCK_API_KEY, or choose a context with `paddock context use NAME`"
            )
        return key


class _Resource:
    def __init__(self, client: AsyncClient) -> None:
        self._client = client


class Agents(_Resource):
    """Agents that have runners or a pool."""

    async def list(self) -> tuple[Agent, ...]:
        return convert(await self._client.ask("GET", "/v1/agents"), tuple[Agent, ...])

    async def get(self, agent: str) -> Agent:
        """One agent. Raises `NotFound`."""
        return convert(await self._client.ask("GET", f"/v1/agents/{_part(agent)}"), Agent)

    async def delete(self, agent: str) -> Agent:
        """Block new sessions; those that are on go on."""
        return convert(await self._client.ask("DELETE", f"/v1/agents/{_part(agent)}"), Agent)


class Runners(_Resource):
    """Runners the orchestrator knows."""

    async def list(self, agent: str | None = None) -> tuple[Runner, ...]:
        raw = await self._client.ask("GET", "/v1/runners", params={"agent": agent})
        return convert(raw, tuple[Runner, ...])


class Sessions(_Resource):
    """Sessions, live and ended."""

    async def list(
        self,
        agent: str | None = None,
        *,
        state: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> SessionPage:
        """One page, newest first. `state`: open, ended, assigned, active or ending."""
        params = {"agent": agent, "state": state, "limit": limit, "before": before}
        return convert(await self._client.ask("GET", "/v1/sessions", params=params), SessionPage)

    async def get(self, session_id: str) -> SessionRecord:
        """One session with its events. Raises `NotFound`."""
        raw = await self._client.ask("GET", f"/v1/sessions/{_part(session_id)}")
        return convert(raw, SessionRecord)

    async def end(self, session_id: str, reason: str = "") -> SessionRecord:
        """End a live session as `terminated`, with `reason` as its detail.

        Ending an ended session changes nothing.
        """
        path = f"/v1/sessions/{_part(session_id)}/end"
        raw = await self._client.ask("POST", path, body={"reason": reason})
        return convert(raw, SessionRecord)


class Keys(_Resource):
    """Keys of the organization. Only public ones show their text again."""

    async def list(self) -> tuple[Key, ...]:
        return convert(await self._client.ask("GET", "/v1/keys"), tuple[Key, ...])

    async def create(
        self,
        name: str,
        scope: str = "public",
        *,
        agents: tuple[str, ...] = (),
        expires_in_s: float | None = None,
    ) -> Key:
        """A new key; keep its text, it is not shown again unless it is public."""
        body: dict[str, Any] = {"name": name, "scope": scope, "agents": list(agents)}
        if expires_in_s is not None:
            body["expires_in_s"] = expires_in_s
        raw = await self._client.ask("POST", "/v1/keys", body=body, repeatable=False)
        return convert(raw, Key)

    async def revoke(self, key_id: str) -> Key:
        """It opens nothing from now on. Live sessions go on."""
        return convert(await self._client.ask("DELETE", f"/v1/keys/{_part(key_id)}"), Key)

    async def roll(self, key_id: str) -> Key:
        """Replace a key by a new one of the same name, scope and reach."""
        path = f"/v1/keys/{_part(key_id)}/roll"
        return convert(await self._client.ask("POST", path, repeatable=False), Key)


def _part(text: str) -> str:
    """`text` as one segment of a path."""
    return quote(text, safe="@")
