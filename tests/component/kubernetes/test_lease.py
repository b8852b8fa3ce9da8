"""Every way into a lease and out of it, where answers get lost."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fakes.waiting import eventually
from paddock_operator.backends.kubernetes.client import Created
from paddock_operator.backends.kubernetes.election import Timing
from paddock_operator.backends.kubernetes.errors import (
    AlreadyExists,
    Conflict,
    NotFound,
    ServerUnavailable,
)
from paddock_operator.backends.kubernetes.lease import Leadership, LeadershipLost

_TIMING = Timing(lease_s=60.0, renew_deadline_s=40.0, retry_s=0.02)
_SHORT = Timing(lease_s=12.0, renew_deadline_s=8.0, retry_s=0.02)
"""Where half a deadline is waited out."""


class _Leases:
    """One Lease with compare-and-set. Stores what it is told, and may then hang, or fail, once."""

    def __init__(self) -> None:
        self.spec: dict[str, Any] | None = None
        self.version = 0
        self.writes = 0
        self.hang = False
        self.lose = False

    async def get(self, path: str) -> dict[str, Any]:
        if self.spec is None:
            raise NotFound(path)
        return {"metadata": {"resourceVersion": str(self.version)}, "spec": dict(self.spec)}

    async def create(self, path: str, body: dict[str, Any]) -> Created:
        if self.spec is not None:
            raise AlreadyExists(path)
        return Created(await self._store(path, dict(body["spec"])))

    async def merge_patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if self.spec is None:
            raise NotFound(path)
        if body["metadata"]["resourceVersion"] != str(self.version):
            raise Conflict(path)
        return await self._store(path, {**self.spec, **body["spec"]})

    async def _store(self, path: str, spec: dict[str, Any]) -> dict[str, Any]:
        self.spec, self.version, self.writes = spec, self.version + 1, self.writes + 1
        if self.hang:
            self.hang = False
            await asyncio.Event().wait()
        if self.lose:
            self.lose = False
            raise ServerUnavailable("the answer was lost")
        return await self.get(path)

    @property
    def holder(self) -> str:
        return str((self.spec or {}).get("holderIdentity"))


def _more_than(leases: _Leases, writes: int) -> Callable[[], bool]:
    return lambda: leases.writes > writes


def _candidate(leases: _Leases, identity: str = "one", timing: Timing = _TIMING) -> Leadership:
    return Leadership(leases, "n", "operator", identity, timing=timing)


async def test_a_block_that_ends_during_a_renewal_releases_the_lease_all_the_same() -> None:
    leases = _Leases()
    async with _candidate(leases):
        writes = leases.writes
        leases.hang = True
        await eventually(lambda: leases.writes > writes)

    assert leases.holder == ""


async def test_what_the_block_raises_comes_out_as_it_is_and_the_lease_is_free() -> None:
    leases = _Leases()
    with pytest.raises(KeyError, match="mine"):
        async with _candidate(leases):
            raise KeyError("mine")

    assert leases.holder == ""


async def test_who_is_cancelled_releases_the_lease() -> None:
    leases = _Leases()
    inside = asyncio.Event()

    async def lead() -> None:
        async with _candidate(leases):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(lead())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert leases.holder == ""


async def test_who_waits_can_be_cancelled_and_leaves_the_lease_alone() -> None:
    leases = _Leases()
    async with _candidate(leases):
        other = _candidate(leases, "two")
        waiting = asyncio.create_task(other.__aenter__())
        await eventually(lambda: other.holder == "one")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

        assert leases.holder == "one"


@pytest.mark.parametrize("existing", [False, True])
async def test_a_claim_whose_answer_was_lost_is_found_again(existing: bool) -> None:
    leases = _Leases()
    if existing:
        async with _candidate(leases, "before"):
            pass
    leases.lose = True

    async with asyncio.timeout(_TIMING.renew_deadline_s), _candidate(leases) as leadership:
        assert leadership.held
        assert leases.holder == "one"


async def test_renewals_whose_answers_are_lost_are_no_loss() -> None:
    leases = _Leases()
    async with _candidate(leases) as leadership:
        for _ in range(3):
            writes = leases.writes
            leases.lose = True
            await eventually(_more_than(leases, writes + 1))

        assert leadership.held
        assert leadership.problem == ""


async def test_a_request_that_hangs_is_not_the_end() -> None:
    leases = _Leases()
    async with _candidate(leases, timing=_SHORT) as leadership:
        writes = leases.writes
        leases.hang = True
        await eventually(lambda: leases.writes > writes + 3)

        assert leadership.held


async def test_a_loss_cancels_the_block_and_is_all_that_comes_out() -> None:
    leases = _Leases()
    cancelled = False
    with pytest.raises(LeadershipLost, match="two holds it"):  # noqa: PT012
        async with _candidate(leases):
            assert leases.spec
            leases.spec["holderIdentity"] = "two"
            leases.version += 1
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled = True
                raise

    assert cancelled
    assert leases.holder == "two"
