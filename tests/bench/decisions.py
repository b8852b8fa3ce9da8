"""What it costs to decide: one tick of the Horizon policy, and one plan for 1,000 runners.

Reference: a fixed loop of integer arithmetic, timed in turns with them, which tells how fast the
interpreter is on this machine at this moment.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from bench.rows import Row, limited, median
from paddock.protocol.words import Mode
from paddock_operator.autoscale.policy import policy_for
from paddock_operator.autoscale.sample import Decision, PoolSample
from paddock_operator.model.parse import parse_manifest
from paddock_operator.plan.planner import plan
from paddock_operator.plan.settings import plan_settings
from paddock_operator.plan.view import (
    BarrierReport,
    DrainReason,
    Intent,
    Phase,
    PoolView,
    RunnerView,
)

_MANIFEST = """
apiVersion: {api}
kind: AgentDeployment
metadata: {{name: bench}}
spec:
  sessionsPerRunner: 4
  scaling: {{policy: Horizon, minRunners: 10, maxRunners: 2000}}
  template:
    spec:
      containers: [{{name: agent, image: "registry.example/agent:1"}}]
"""
NOW = 1_000_000.0
RUNNERS = 1000


def bench(*, quick: bool) -> list[Row]:
    """The rows of this benchmark."""
    rounds = 3 if quick else 15
    ticks, calibrations = [], []
    plans: dict[str, list[float]] = {}
    tick = _ticks()
    for _ in range(rounds):
        calibrations.append(_timed(_calibrate, 20))
        ticks.append(_timed(tick, 300))
        for name, view, target in _views():
            decision = Decision(target, target, "as the benchmark says")
            once = _timed(lambda v=view, d=decision: plan(v, d, NOW), 3)  # type: ignore[misc]
            plans.setdefault(name, []).append(once)
    loop = median(calibrations)
    note = f"reference: a loop of {_LOOPS:,} additions"
    rows = [
        limited("one tick of Horizon", median(ticks) * 1e6, "us", 100, reference=loop * 1e6,
                note=note)
    ]  # fmt: skip
    for name, times in plans.items():
        figure = f"one plan for {RUNNERS:,} runners, {name}"
        rows.append(limited(figure, median(times) * 1e3, "ms", 5, reference=loop * 1e3))
    return rows


_LOOPS = 10_000


def _calibrate() -> None:
    total = 0
    for number in range(_LOOPS):
        total += number & 7


def _timed(work: Callable[[], object], times: int) -> float:
    """Seconds of one call, as the mean of a run."""
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times


def _ticks() -> Callable[[], object]:
    """One tick a second of a pool with 3,000 sessions, 17 of which come and go each second."""
    from paddock_operator.model.manifest import API_VERSION

    policy = policy_for(parse_manifest(_MANIFEST.format(api=API_VERSION)), None)
    at = [NOW]

    def tick() -> None:
        at[0] += 1.0
        policy.decide(
            PoolSample(
                in_flight=3000 + int(at[0]) % 13,
                queued=0,
                arrivals=15 + int(at[0]) % 5,
                completions=15 + int(at[0]) % 4,
                answered=15,
                late=0,
                startup_times_s=(12.0,) if int(at[0]) % 10 == 0 else (),
                ready=RUNNERS,
                starting=0,
            ),
            at[0],
        )

    for _ in range(600):
        tick()
    return tick


def _views() -> list[tuple[str, PoolView, int]]:
    """The same pool: as large as wanted, a tenth too small, a quarter too large, all old, and all
    draining for want of calls when the calls come back."""
    from paddock_operator.model.manifest import API_VERSION

    manifest = parse_manifest(_MANIFEST.format(api=API_VERSION))
    settings = plan_settings(manifest, "new", serving_and_starting=RUNNERS, demand=3000)

    def view(revision: str) -> PoolView:
        runners = tuple(
            RunnerView(
                runner_id=f"runner-{number}",
                revision=revision,
                phase=Phase.READY,
                created_at=NOW - 5000.0 - number,
                ready_at=NOW - 4990.0 - number,
                capacity=4,
                booked=number % 5 if number % 4 else 0,
            )
            for number in range(RUNNERS)
        )
        return PoolView(runners=runners, queued=0, fresh=True, settings=settings)

    new, old = view("new"), view("old")
    drain = Intent(1, Mode.DRAIN, DrainReason.SCALE_DOWN, NOW - 10.0, NOW + 3600.0)
    leaving = tuple(
        replace(r, intent=drain, report=BarrierReport(1, r.booked or 0)) for r in new.runners
    )
    return [
        ("steady", new, RUNNERS),
        ("growing", new, RUNNERS * 11 // 10),
        ("shrinking", new, RUNNERS * 3 // 4),
        ("replacing", old, RUNNERS),
        ("un-draining all", replace(new, runners=leaving), RUNNERS),
    ]
