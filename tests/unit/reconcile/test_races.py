"""What a pass does when others were first, and whom its words are for."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec import structs

from fakes.recording_backend import RecordingBackend
from paddock.protocol.words import Mode
from paddock_operator.autoscale.policy import policy_for
from paddock_operator.model.parse import parse_manifest
from paddock_operator.plan.actions import CancelStart, Create
from paddock_operator.plan.view import DrainReason, Intent, Phase
from paddock_operator.reconcile.backend import Observed
from paddock_operator.reconcile.clock import Clock
from paddock_operator.reconcile.reconciler import Reconciler

MANIFEST = """
apiVersion: paddock.dev/v1alpha1
kind: AgentDeployment
metadata: {name: a}
spec:
  sessionsPerRunner: 4
  replicas: 1
  drain: {onTimeout: %s}
  template: {spec: {containers: [{name: runner, image: example/runner:1}]}}
"""
NOW = 1000.0
DRAINING = Intent(1, Mode.DRAIN, DrainReason.NODE_CORDON, NOW - 10.0, NOW + 3590.0)


@dataclass
class Link:
    """Hears everything."""

    told: list[tuple[str, Intent, str]] = field(default_factory=list)
    said_gone: list[tuple[str, str]] = field(default_factory=list)

    async def declare(self, agent: str, declaration: dict[str, Any]) -> bool | None:
        return False

    def stands(self, agent: str) -> bool:
        return False

    def renew(self, agent: str) -> None:
        raise AssertionError("nothing stands")

    async def tell(
        self, runner_id: str, intent: Intent, *, instance: str, now: float, warn_before_s: float
    ) -> bool:
        self.told.append((runner_id, intent, instance))
        return True

    async def gone(self, runner_id: str, instance: str) -> bool:
        self.said_gone.append((runner_id, instance))
        return True


def _reconciler(backend: RecordingBackend, link: Link, on_timeout: str = "Terminate") -> Reconciler:
    manifest = parse_manifest(MANIFEST % on_timeout, source="a.yaml")
    clock = Clock(wall=lambda: NOW, mono=lambda: NOW)
    return Reconciler(manifest, backend, link, policy_for(manifest, None), clock=clock)


def _line(*runners: dict[str, Any]) -> dict[str, Any]:
    return {"boot": "b", "seq": 1, "recovering": False, "pools": [], "runners": list(runners),
            "gone": []}  # fmt: skip


def _heard(name: str, instance: str, **more: Any) -> dict[str, Any]:
    return {
        "runner_id": name, "agent": "a", "instance": instance, "connected": True,
        "suspect": False, "can_drain": True, "capacity": 4, "in_flight": 1, "report": None,
        "registered_ms": 1000, "oldest_session_ms": None, **more,
    }  # fmt: skip


def _observed(name: str, revision: str, **more: Any) -> Observed:
    return structs.replace(
        Observed(name, revision, Phase.STARTING, NOW - 100.0, incarnation="u1"), **more
    )


async def test_nothing_is_created_in_the_place_of_a_start_that_was_not_withdrawn() -> None:
    """It was placed at the last moment: it still counts."""
    backend = RecordingBackend()
    backend.withdraws = False
    reconciler = _reconciler(backend, Link())
    backend.observed = (_observed("old", "another", phase=Phase.PENDING),)
    reconciler.heard(_line())

    await reconciler.reconcile()
    assert backend.asked == [CancelStart("old")]
    backend.withdraws = True
    await reconciler.reconcile()
    assert [type(action) for action in backend.asked[1:]] == [CancelStart, Create]


async def test_nothing_is_created_for_a_template_that_changed_during_the_pass() -> None:
    """It would be made of the new one, and counted as one of the old."""
    backend = RecordingBackend()
    reconciler = _reconciler(backend, Link())
    reconciler.heard(_line())
    passing = asyncio.create_task(reconciler.reconcile())
    await asyncio.sleep(0)
    image = MANIFEST.replace("example/runner:1", "example/runner:2")
    reconciler.change(parse_manifest(image % "Terminate", source="a.yaml"))

    await passing
    assert backend.asked == []
    await reconciler.reconcile()
    assert backend.asked == [Create(reconciler.revision, 1)]


@pytest.mark.parametrize(
    ("on_timeout", "deadline"), [("Terminate", DRAINING.deadline), ("Keep", None)]
)
async def test_a_runner_is_told_no_deadline_that_the_pool_does_not_keep(
    on_timeout: str, deadline: float | None
) -> None:
    """It ends its calls itself at the deadline it is told."""
    link = Link()
    reconciler = _reconciler(RecordingBackend(), link, on_timeout)
    reconciler.backend.observed = (  # type: ignore[attr-defined]
        _observed("r", reconciler.revision, intent=DRAINING),
    )
    reconciler.heard(_line(_heard("r", "u1.x")))

    await reconciler.reconcile()
    assert [intent.deadline for _, intent, _ in link.told] == [deadline]


async def test_a_command_names_the_runner_that_it_was_written_for() -> None:
    link = Link()
    reconciler = _reconciler(RecordingBackend(), link)
    reconciler.backend.observed = (  # type: ignore[attr-defined]
        _observed("r", reconciler.revision, intent=DRAINING),
    )
    reconciler.heard(_line(_heard("r", "u1.x")))

    await reconciler.reconcile()
    assert [(name, instance) for name, _, instance in link.told] == [("r", "u1")]


@pytest.mark.parametrize(("instance", "said"), [("u1.x", [("r", "u1")]), ("u2.y", [])])
async def test_a_runner_that_took_the_name_is_not_said_to_be_gone(
    instance: str, said: list[tuple[str, str]]
) -> None:
    link = Link()
    reconciler = _reconciler(RecordingBackend(), link)
    over = _observed("r", reconciler.revision, phase=Phase.FAILED)
    reconciler.backend.observed = (over,)  # type: ignore[attr-defined]
    reconciler.heard(_line(_heard("r", instance)))

    await reconciler.reconcile()
    assert link.said_gone == said
