"""Being the only one at work: a Lease held for as long as a block runs."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol, Self

from paddock_operator.backends.kubernetes.client import Created
from paddock_operator.backends.kubernetes.election import (
    Claim,
    Election,
    Timing,
    Wait,
    record_of,
)  # fmt: skip
from paddock_operator.backends.kubernetes.errors import (
    AlreadyExists,
    Conflict,
    KubeError,
    NotFound,
)  # fmt: skip

log = logging.getLogger("paddock.kubernetes")

RELEASE_S = 3.0


class LeadershipLost(Exception):
    """Another one may be at work from now on: end the process."""


class LeaseClient(Protocol):
    """The part of the client that is needed."""

    async def get(self, path: str) -> dict[str, Any]: ...

    async def create(self, path: str, body: dict[str, Any]) -> Created: ...

    async def merge_patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]: ...


class Leadership:
    """`async with Leadership(...)`: waits until it is ours; the block then runs while it stays so.

    When the lease could not be renewed in time, or another holds it, the block is cancelled and
    LeadershipLost raised. On every other way out the lease is released, after the block has ended.
    Who was stopped for a while learns that it lost only when it runs again, so writes must have
    preconditions all the same; `held` says whether the lease is good now.
    """

    def __init__(
        self,
        client: LeaseClient,
        namespace: str,
        name: str,
        identity: str,
        *,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self.namespace = namespace
        """Where the lease is."""
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._path = f"{self._collection}/{name}"
        self._name = name
        self._timing = timing or Timing()
        self._election = Election(identity, self._timing)
        self._clock = clock
        self._group = asyncio.TaskGroup()
        self._renewing: asyncio.Task[None] | None = None
        self.problem = ""
        """Why the lease cannot be read or written at the moment; "" when it can."""
        self.holder = ""
        """Who holds it, as far as known."""

    @property
    def held(self) -> bool:
        until = self._election.leads_until()
        return until is not None and self._clock() < until

    @property
    def stands_by(self) -> bool:
        """Another one holds it, as far as can be seen now."""
        return not self.held and not self.problem and bool(self.holder)

    async def __aenter__(self) -> Self:
        while not self.held:
            await self._tried(self._acquire, self._timing.renew_deadline_s)
            if not self.held:
                await asyncio.sleep(self._timing.retry_s * random.uniform(0.8, 1.2))
        log.info("leadership_acquired", extra={"lease": self._path})
        await self._group.__aenter__()
        self._renewing = self._group.create_task(self._renew())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        why: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        assert self._renewing is not None
        self._renewing.cancel()
        try:
            await self._group.__aexit__(kind, why, where)
        except BaseExceptionGroup as several:
            lost, others = several.split(LeadershipLost)
            if lost is not None:
                raise LeadershipLost(str(_leaf(lost))) from others
            if len(several.exceptions) == 1:
                raise several.exceptions[0] from None
            raise
        finally:
            await self._release()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(min(self._timing.retry_s, self._left_s()))
            await self._tried(self._acquire, self._left_s())
            if not self.held:
                raise LeadershipLost(f"lease {self._path}: {self._loss()}")

    def _loss(self) -> str:
        if self.holder != self._election.identity:
            return f"{self.holder} holds it"
        return f"not renewed in time: {self.problem or 'this process was stopped'}"

    def _left_s(self) -> float:
        until = self._election.leads_until()
        return 0.0 if until is None else max(0.0, until - self._clock())

    async def _tried(self, step: Callable[[], Awaitable[None]], within_s: float) -> None:
        """One try of half the deadline at most, so that one hung request is not the end."""
        try:
            async with asyncio.timeout(min(within_s, self._timing.renew_deadline_s / 2)):
                await step()
            self.problem = ""
        except (KubeError, TimeoutError) as why:
            if not self.problem:
                log.warning("lease_unreachable", extra={"lease": self._path, "why": str(why)})
            self.problem = str(why) or "no answer in time"

    async def _acquire(self) -> None:
        """Read unless we lead, then claim it if it can be had. What a race decided is read next."""
        if not self.held:
            await self._read()
        step = self._election.step(self._clock(), datetime.now(UTC))
        if isinstance(step, Wait):
            self.holder = step.holder
            return
        try:
            await self._claim(step)
        except (Conflict, AlreadyExists, NotFound):
            await self._read()
            step = self._election.step(self._clock(), datetime.now(UTC))
            if isinstance(step, Claim):
                await self._claim(step)
            else:
                self.holder = step.holder

    async def _read(self) -> None:
        try:
            lease = await self._client.get(self._path)
        except NotFound:
            self._election.saw(None, self._clock())
        else:
            self._election.saw(record_of(lease, self._timing.lease_s), self._clock())

    async def _claim(self, claim: Claim) -> None:
        asked_at = self._clock()
        lease = await self._write(claim)
        self._election.wrote(record_of(lease, self._timing.lease_s), asked_at)
        self.holder = self._election.identity

    async def _write(self, claim: Claim) -> dict[str, Any]:
        if claim.version is not None:
            body = {"metadata": {"resourceVersion": claim.version}, "spec": claim.spec}
            return await self._client.merge_patch(self._path, body)
        made = await self._client.create(
            self._collection,
            {
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": self._name}, "spec": claim.spec,
            },
        )  # fmt: skip
        return made.object

    async def _release(self) -> None:
        if not self.held:
            return
        try:
            async with asyncio.timeout(RELEASE_S):
                await self._give_up()
            log.info("leadership_released", extra={"lease": self._path})
        except (KubeError, TimeoutError) as why:
            log.warning("lease_not_released", extra={"lease": self._path, "why": str(why)})

    async def _give_up(self) -> None:
        """Read again if a renewal that was under way when the block ended came first."""
        for _ in range(2):
            claim = self._election.release(datetime.now(UTC))
            if claim is None:
                return
            try:
                await self._write(claim)
            except Conflict:
                await self._read()
            else:
                return


def _leaf(group: BaseExceptionGroup[LeadershipLost]) -> BaseException:
    first = group.exceptions[0]
    return _leaf(first) if isinstance(first, BaseExceptionGroup) else first
