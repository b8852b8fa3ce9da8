"""Orchestrators: one link for each OrchestratorConnection, shared by the pools of its namespace."""

import asyncio
import base64
import binascii
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from paddock.client.server import checked_key
from paddock.errors import ConfigurationError
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.errors import Forbidden, NotFound
from paddock_operator.backends.kubernetes.pods import Endpoint
from paddock_operator.model.connection import OrchestratorConnection
from paddock_operator.model.resource import Resource
from paddock_operator.observe.facts import ConnectionProblem, ConnectionTrouble
from paddock_operator.reconcile.reconciler import Link
from paddock_operator.signals.board import Hear, StatisticsBoard
from paddock_operator.signals.link import OrchestratorLink

log = logging.getLogger("paddock.connections")

FOLLOW_AGAIN_S = 1.0

_KEYS = ("apiKey", "runnerKey")

Key = tuple[str, str]
"""Namespace and name."""
Used = tuple[str, str, str, bytes | None]
"""Address, secret, its private key, and certificates."""


class OpenLink(Link, Protocol):
    """A link with its stream of statistics."""

    @property
    def problem(self) -> str: ...

    heard: bool
    key_refused: bool

    async def follow(self, hear: Hear) -> None: ...

    async def close(self) -> None: ...


class Connect(Protocol):
    """Opens a link; nothing is sent yet."""

    def __call__(
        self, url: str, api_key: str, *, ca: bytes | None, changed: Callable[[], None]
    ) -> OpenLink: ...


@dataclass(eq=False)
class Connection:
    """One orchestrator, as a connection object names it."""

    key: Key
    url: str = ""
    secret: str = ""
    connect: Connect = OrchestratorLink
    ca: str = ""
    """Certificates that its runners trust instead of the usual ones, PEM."""
    link: OpenLink | None = None
    problem: ConnectionProblem | None = None
    """Why there is no link, or why it is not followed."""
    changed: Callable[[], None] = lambda: None
    """Called when it begins or ceases to work, or does not work for another reason."""
    _board: StatisticsBoard = field(default_factory=StatisticsBoard)
    _following: asyncio.Task[None] | None = None

    @property
    def trouble(self) -> ConnectionProblem | None:
        """Why the orchestrator cannot be asked; None when it can, or that is not known yet."""
        if self.link is None or not self.link.problem:
            return self.problem
        return ConnectionProblem(
            "Unauthorized" if self.link.key_refused else "Unreachable", self.link.problem
        )

    @property
    def tried(self) -> bool:
        """Whether it works is known."""
        return self.trouble is not None or (self.link is not None and self.link.heard)

    @property
    def endpoint(self) -> Endpoint | None:
        """How runners reach it; None while that is not known."""
        return Endpoint(self.url, self.secret, self.ca) if self.url else None

    def subscribe(self, agent: str, listener: Hear) -> None:
        """Give `listener` the agent's part of the statistics from now on, all of it at first."""
        self._board.subscribe(agent, listener)

    def unsubscribe(self, agent: str, listener: Hear) -> None:
        """No more of it; others that listen to the agent stay."""
        self._board.unsubscribe(agent, listener)

    async def use(self, url: str, secret: str, api_key: str, ca: bytes | None) -> None:
        """Talk to this address with this key from now on. _Unusable: as before, then."""
        try:
            link = self.connect(url, api_key, ca=ca, changed=self.changed)
        except (ssl.SSLError, ValueError) as why:
            if ca is None:
                raise _unusable("Invalid", f"spec.url {url!r} cannot be used ({why})") from None
            raise _unusable("Invalid", f"caBundle is no PEM certificate ({why})") from None
        await self.close()
        self.url, self.secret, self.problem = url, secret, None
        self.ca = "" if ca is None else ca.decode()
        self.link = link
        self._following = asyncio.create_task(self._follow(link))

    async def _follow(self, link: OpenLink) -> None:
        """Until cancelled, whatever happens to it."""

        def hear(line: dict[str, Any]) -> None:
            self._board.hear(line)
            self._broken(None)

        while True:
            try:
                await link.follow(hear)
                why = "they ended"
            except Exception as error:  # of a line that nobody has thought of
                log.exception("statistics_broken", extra={"connection": "/".join(self.key)})
                why = type(error).__name__
            self._broken(ConnectionProblem("Unreachable", f"statistics cannot be followed ({why})"))
            await asyncio.sleep(FOLLOW_AGAIN_S)

    def _broken(self, problem: ConnectionProblem | None) -> None:
        if problem != self.problem:
            self.problem = problem
            self.changed()

    async def fail(self, problem: ConnectionProblem) -> None:
        """Nothing can be said or heard. What runners were told stays as it was."""
        if self.problem != problem:
            log.warning(
                "connection_unusable",
                extra={"connection": "/".join(self.key), "why": problem.message},
            )
        await self.close()
        self.problem = problem

    async def close(self) -> None:
        link, following = self.link, self._following
        self.link = self._following = None
        if following is not None:
            following.cancel()
            await asyncio.wait([following])
        if link is not None:
            await link.close()


class Connections:
    """Every connection that was seen or asked for."""

    def __init__(
        self,
        client: KubeClient,
        *,
        changed: Callable[[Key], None] = lambda _: None,
        connect: Connect = OrchestratorLink,
    ) -> None:
        """`changed(key)` is called when a connection begins or ceases to work."""
        self._client = client
        self._changed = changed
        self._connect = connect
        self._known: dict[Key, Connection] = {}
        self._used: dict[Key, Used] = {}

    def of(self, namespace: str, name: str) -> Connection:
        """The connection of that name, which may not exist yet."""
        key = (namespace, name)
        if key not in self._known:
            missing = ConnectionProblem(
                "Unreachable",
                f"namespace {namespace!r} has no OrchestratorConnection {name!r}: create it",
            )
            self._known[key] = Connection(
                key, connect=self._connect, problem=missing, changed=lambda: self._changed(key)
            )
        return self._known[key]

    async def changed(self, resource: Resource[OrchestratorConnection]) -> None:
        """The object was created or changed, or its secret may have been."""
        meta, parsed = resource.meta, resource.parsed
        connection = self.of(meta.namespace, meta.name)
        if isinstance(parsed, tuple):
            await connection.fail(ConnectionProblem("Invalid", "; ".join(map(str, parsed))))
            return
        try:
            wanted = await self._wanted(parsed, meta.namespace)
            if self._used.get(connection.key) == wanted and connection.link is not None:
                return
            await connection.use(*wanted)
        except _Unusable as why:
            await connection.fail(why.problem)
            return
        self._used[connection.key] = wanted

    async def _wanted(self, parsed: OrchestratorConnection, namespace: str) -> Used:
        """What a link is opened with."""
        spec = parsed.spec
        try:
            url = parsed.url_from(namespace)
        except ValueError as why:
            raise _unusable("Invalid", f"spec.url {spec.url!r} is no address ({why})") from None
        key = await self._api_key(namespace, spec.secret_ref.name)
        ca = base64.b64decode(spec.ca_bundle) if spec.ca_bundle else None
        return url, spec.secret_ref.name, key, ca

    async def deleted(self, namespace: str, name: str) -> None:
        """The object is gone."""
        why = f"the OrchestratorConnection {name!r} was deleted: create it again"
        await self.of(namespace, name).fail(ConnectionProblem("Unreachable", why))

    async def close(self) -> None:
        for connection in self._known.values():
            await connection.close()

    async def _api_key(self, namespace: str, name: str) -> str:
        where = f"secret {name!r} in namespace {namespace!r}"
        try:
            secret = await self._client.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        except NotFound:
            raise _unusable("MissingSecret", f"{where} does not exist: create it") from None
        except Forbidden:
            raise _unusable(
                "MissingSecret", f"{where} may not be read: allow the operator to get it"
            ) from None
        data = secret.get("data") or {}
        missing = [one for one in _KEYS if not data.get(one)]
        if missing:
            raise _unusable("MissingSecret", f"{where} has no {' and no '.join(missing)}: add it")
        keys = {one: _key(data[one]) for one in _KEYS}
        for one, key in keys.items():
            if key is None:
                raise _unusable(
                    "MissingSecret",
                    f"{where}: {one} is no key, which is one line of visible ASCII characters "
                    "without a space: put the key there as the orchestrator gave it",
                )
        return keys["apiKey"] or ""


def _key(coded: str) -> str | None:
    """A key of the secret, by the rule of the runners that are given the same secret; None for what
    cannot be one. Its value is never told: it may be a key and something else."""
    try:
        text = base64.b64decode(coded, validate=True).decode("ascii")
        return checked_key(text, "the secret") or None
    except (binascii.Error, UnicodeDecodeError, ConfigurationError):
        return None


class _Unusable(Exception):
    """The link cannot be opened as the object says."""

    def __init__(self, problem: ConnectionProblem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def _unusable(reason: ConnectionTrouble, message: str) -> _Unusable:
    return _Unusable(ConnectionProblem(reason, message))
