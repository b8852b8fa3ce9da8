"""Keys: made, found by text, revoked and rolled at once. Only their digests are stored."""

import asyncio
import hashlib
import secrets
import time
from dataclasses import dataclass
from enum import StrEnum

from msgspec.structs import replace

from paddock_orchestrator.dispatch.bucket import TokenBucket
from paddock_orchestrator.store.records import Key, Organization, Scope
from paddock_orchestrator.store.store import Store

PREFIX = {Scope.PUBLIC: "pk_", Scope.PRIVATE: "sk_", Scope.RUNNER: "rk_"}
_MAY: dict[Scope, frozenset[Scope]] = {
    Scope.PUBLIC: frozenset({Scope.PUBLIC}),
    Scope.RUNNER: frozenset({Scope.RUNNER}),
    Scope.PRIVATE: frozenset({Scope.PUBLIC, Scope.RUNNER, Scope.PRIVATE}),
}


class Over(StrEnum):
    REVOKED = "revoked"
    EXPIRED = "expired"


@dataclass(slots=True)
class Grant:
    """A key that was recognised, with its own start rate."""

    key: Key
    bucket: TokenBucket

    @property
    def org(self) -> str:
        return self.key.org_id

    def is_good(self, at_ms: int) -> bool:
        """Whether the key still opens anything: not revoked, not expired."""
        key = self.key
        return key.revoked_ms is None and (key.expires_ms is None or key.expires_ms > at_ms)

    def over(self, at_ms: int) -> Over | None:
        """Why the key opens nothing any more; None when it does."""
        if self.key.revoked_ms is not None:
            return Over.REVOKED
        return None if self.is_good(at_ms) else Over.EXPIRED

    def may(self, scope: Scope) -> bool:
        return scope in _MAY[self.key.scope]

    def reaches(self, agent: str) -> bool:
        return not self.key.agents or agent.removesuffix("@dev") in self.key.agents


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


class Keyring:
    """All keys, in memory. Known by digest; a good key's text is hashed once only."""

    def __init__(self, store: Store, *, starts_per_s: float, starts_burst: float) -> None:
        self._store = store
        self._rate = (starts_per_s, starts_burst)
        self._grants: dict[bytes, Grant] = {}
        """By digest."""
        self._met: dict[str, Grant] = {}
        """By text, of keys that were used: never more than there are keys."""
        self._rolling = asyncio.Lock()

    async def load(self) -> None:
        self._grants.clear()
        self._met.clear()
        for key in await self._store.keys():
            self._remember(key)

    def _remember(self, key: Key) -> None:
        bucket = TokenBucket.full(*self._rate, time.monotonic())
        self._grants[key.digest] = Grant(key, bucket)

    def find(self, text: str) -> Grant | None:
        """The grant for a key's text; None for unknown, revoked and expired keys."""
        grant = self._met.get(text)
        if grant is None:
            grant = self._grants.get(digest(text))
            if grant is None:
                return None
            self._met[text] = grant
        return grant if grant.is_good(_now_ms()) else None

    def list(self, org: str) -> list[Key]:
        mine = [g.key for g in self._grants.values() if g.key.org_id == org]
        return sorted(mine, key=lambda k: (k.created_ms, k.key_id))

    def by_id(self, org: str, key_id: str) -> Key | None:
        return next((k for k in self.list(org) if k.key_id == key_id), None)

    async def create(
        self,
        org: str,
        name: str,
        scope: Scope,
        *,
        agents: tuple[str, ...] = (),
        expires_ms: int | None = None,
    ) -> tuple[Key, str]:
        """A new key and its text. The text of a public key alone can be read again."""
        text = PREFIX[scope] + secrets.token_urlsafe(24)
        key = await self._keep(org, name, scope, text, agents=agents, expires_ms=expires_ms)
        return key, text

    async def adopt(self, org: str, scope: Scope, text: str) -> None:
        """See that this text is a key. One that is known stays as it is, revoked or not."""
        known = digest(text)
        if known not in self._grants:
            await self._keep(org, f"given-{scope}-{known.hex()[:6]}", scope, text)

    async def _keep(
        self,
        org: str,
        name: str,
        scope: Scope,
        text: str,
        *,
        agents: tuple[str, ...] = (),
        expires_ms: int | None = None,
    ) -> Key:
        key = Key(
            key_id=f"key_{secrets.token_hex(6)}",
            org_id=org,
            name=name,
            scope=scope,
            digest=digest(text),
            created_ms=_now_ms(),
            shown=text if scope is Scope.PUBLIC else "",
            agents=agents,
            expires_ms=expires_ms,
        )
        await self._store.put_key(key)
        self._remember(key)
        return key

    async def revoke(self, key: Key) -> Key:
        """From this instant on the key opens nothing. Who holds its grant sees it there."""
        revoked = replace(key, revoked_ms=_now_ms())
        grant = self._grants.get(key.digest)
        if grant is not None:
            grant.key = revoked
        await self._store.put_key(revoked)
        return revoked

    async def roll(self, key: Key) -> tuple[Key, str] | Over:
        """A new key of the same name, scope, reach and expiry; the old one is revoked.

        A key that is over stays so: its follower would be born expired, or undo a revocation.
        """
        async with self._rolling:  # who rolls the same key at the same time finds it revoked
            over = self._grants[key.digest].over(_now_ms())
            if over is not None:
                return over
            made = await self.create(
                key.org_id, key.name, key.scope, agents=key.agents, expires_ms=key.expires_ms
            )
            await self.revoke(key)
            return made


async def first_keys(keyring: Keyring) -> dict[Scope, str]:
    """A new key of each scope for the organization `default`, texts by scope.

    The organization itself is made by `found`, once the texts are safe: a crash in between must
    not leave an organization whose keys nobody has.
    """
    texts = {}
    for scope in (Scope.PRIVATE, Scope.PUBLIC, Scope.RUNNER):
        _, texts[scope] = await keyring.create("default", f"first-{scope.value}", scope)
    return texts


async def found(store: Store) -> None:
    """Make the organization `default`."""
    await store.create_organization(Organization("default", "default", _now_ms()))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
