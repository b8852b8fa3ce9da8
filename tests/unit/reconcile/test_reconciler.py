"""One pass after another of a pool."""

import asyncio
import time
from typing import Any

import pytest

from fakes.recording_backend import RecordingBackend
from paddock.protocol.words import Mode
from paddock_operator.autoscale.policy import policy_for
from paddock_operator.model.parse import parse_manifest
from paddock_operator.plan.actions import Create, WriteIntent
from paddock_operator.plan.view import DrainReason, Intent, Phase
from paddock_operator.reconcile.backend import Observed
from paddock_operator.reconcile.reconciler import Reconciler
from paddock_operator.signals.silent import SilentLink
from unit.model.manifests import changed

MANIFEST = parse_manifest(changed(spec__replicas=2))


def reconciler(backend: RecordingBackend) -> Reconciler:
    return Reconciler(MANIFEST, backend, SilentLink(), policy_for(MANIFEST, None))


def running(name: str, revision: str, intent: Intent | None = None) -> Observed:
    began = time.time() - 60.0
    return Observed(name, revision, Phase.STARTING, began, intent or Intent())


def line(*runners: str) -> dict[str, Any]:
    """The first line of the statistics: these are connected, hold nothing, and serve or drain."""
    told = {
        "agent": MANIFEST.agent_id, "instance": "", "connected": True, "suspect": False,
        "can_drain": True, "capacity": 4, "in_flight": 0, "report": None, "registered_ms": 0,
        "oldest_session_ms": None,
    }  # fmt: skip
    return {
        "boot": "b", "seq": 1, "gone": [], "pools": [],
        "runners": [{**told, "runner_id": name} for name in runners],
    }  # fmt: skip


async def test_runners_that_were_found_are_heard_of_before_one_is_created() -> None:
    """One that drains may do instead: a process that has just begun does not know yet."""
    now = time.time()
    drain = Intent(1, Mode.DRAIN, DrainReason.SCALE_DOWN, now, now + 3600.0)
    backend = RecordingBackend()
    pool = reconciler(backend)
    backend.observed = (
        running("stays", pool.revision), running("leaves", pool.revision, drain),
    )  # fmt: skip
    await pool.reconcile()
    assert not any(isinstance(action, Create) for action in backend.asked)

    pool.heard(line("stays", "leaves"))
    await pool.reconcile()
    (called_off,) = [action for action in backend.asked if isinstance(action, WriteIntent)]
    assert (called_off.runner_id, called_off.after.drain_epoch) == ("leaves", 2)
    assert called_off.after.mode is Mode.SERVE
    assert not any(isinstance(action, Create) for action in backend.asked)


async def test_a_pool_without_runners_waits_for_nobody() -> None:
    backend = RecordingBackend()
    await reconciler(backend).reconcile()
    assert [type(action) for action in backend.asked] == [Create]


class FullDisk(RecordingBackend):
    """Has no room for a runner, twice."""

    async def create(self, action: Create) -> None:
        await super().create(action)
        if len(self.asked) <= 2:
            raise OSError(28, "No space left on device")


async def test_a_pass_that_fails_is_told_once_and_made_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    passed = asyncio.Event()
    backend = FullDisk()
    pool = reconciler(backend)
    pool.on_pass = lambda _: passed.set()
    running = asyncio.create_task(pool.run())
    while not passed.is_set() and not running.done():
        pool.wake()
        await asyncio.sleep(0)
    running.cancel()
    assert len(backend.asked) == 3
    assert [r.getMessage() for r in caplog.records if "pass" in r.getMessage()] == ["pass_failed"]


async def test_every_word_of_the_pool_wakes_and_no_other() -> None:
    """A pool at rest is not looked at for long: its first call is to be known at once."""
    woken: list[None] = []
    pool = reconciler(RecordingBackend())
    pool.on_wake = lambda: woken.append(None)

    def wakes(told: dict[str, Any]) -> bool:
        woken.clear()
        pool.heard(told)
        return bool(woken)

    counters = dict.fromkeys(("queued", "arrivals", "completions", "answered", "late"), 1)
    calls = {**counters, "agent": MANIFEST.agent_id, "startups_ms": []}
    assert wakes(line()), "the first one"
    assert not wakes(line() | {"seq": 2}), "all is as it was"
    assert not wakes(line() | {"seq": 3, "pools": [calls | {"agent": "another"}]})
    assert wakes(line() | {"seq": 4, "pools": [calls]}), "a call came"
    assert wakes(line("a") | {"seq": 5}), "a runner came"
    assert wakes(line() | {"seq": 6, "gone": ["a"]}), "and left"
    assert not wakes(line() | {"seq": 7, "gone": ["b"]})
    assert wakes(line() | {"seq": 8, "boot": "c"}), "the orchestrator restarted"


class Standing(SilentLink):
    """Hears every declaration; `lost` when it has forgotten the last one."""

    def __init__(self) -> None:
        self.declared = 0
        self.lost = False

    async def declare(self, agent: str, declaration: dict[str, Any]) -> bool | None:
        self.declared += 1
        self.lost = False
        return False

    def stands(self, agent: str) -> bool:
        return self.declared > 0 and not self.lost


async def test_a_declaration_that_was_forgotten_is_made_again_with_the_next_pass() -> None:
    pool, link = reconciler(RecordingBackend()), Standing()
    pool.link = link
    await pool.reconcile()
    await pool.reconcile()
    assert link.declared == 1
    link.lost = True
    await pool.reconcile()
    assert link.declared == 2
