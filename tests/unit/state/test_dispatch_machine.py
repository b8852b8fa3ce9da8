"""Dispatch as a whole, against everything a network, a disk and processes can do to it.

What holds after every step, and what holds when everything has been quiet for long enough, is in
`Dispatch.steady` and `Dispatch.teardown`. PADDOCK_EXAMPLES=5000 searches deeper.
"""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from fakes.dispatch_world import ORG, UNRECORDED, World
from fakes.sim_runner import Job, PaddockRunner, SimRunner, V2Runner
from paddock.protocol import control
from paddock_orchestrator.state.book import Declared, Stage

PICK = st.integers(0, 10_000)
EXAMPLES = int(os.environ.get("PADDOCK_EXAMPLES", "150"))


class Dispatch(RuleBasedStateMachine):
    """Paddock's own runners."""

    kinds: tuple[type[Any], ...] = (PaddockRunner,)

    def __init__(self) -> None:
        super().__init__()
        self.world = World([])
        self.epoch = 0

    @initialize(
        capacities=st.lists(st.integers(1, 3), min_size=1, max_size=3),
        permits=st.sampled_from([1, 3, 1000]),
        declared=st.booleans(),
    )
    def runners_start(self, capacities: list[int], permits: int, declared: bool) -> None:
        for number, capacity in enumerate(capacities):
            kind = self.kinds[number % len(self.kinds)]
            runner: SimRunner = (
                PaddockRunner(f"r{number}", capacity, permits)
                if kind is PaddockRunner
                else V2Runner(f"r{number}", capacity)
            )
            self.world.runners.append(runner)
            self.world.connect(runner)
        if declared:
            self.declare(True, True)
        self.deliver_all()

    # -- the world's choices ----------------------------------------------------------------

    @rule(max_duration_s=st.sampled_from([7200.0, 7200.0, 20.0]))
    def start(self, max_duration_s: float) -> None:
        self.world.start(max_duration_s)

    @rule(wait=st.booleans(), growable=st.booleans())
    def declare(self, wait: bool, growable: bool) -> None:
        world = self.world
        declared = Declared(max_slots=4, growable=growable, wait_at_maximum=wait)
        world.apply(world.dispatcher.declare((ORG, "desk"), declared, world.at))

    @rule(pick=PICK, count=st.integers(1, 4))
    def reach_the_orchestrator(self, pick: int, count: int) -> None:
        wire = _pick([w for w, _ in self.world.wires.values() if w.up], pick)
        for _ in range(count if wire is not None else 0):
            if wire is not None and wire.up:
                self.world.to_server(wire)

    @rule(pick=PICK, count=st.integers(1, 4))
    def reach_the_runner(self, pick: int, count: int) -> None:
        wire = _pick([w for w, _ in self.world.wires.values() if w.down], pick)
        for _ in range(count if wire is not None else 0):
            if wire is not None and wire.down:
                self.world.to_runner(wire)

    @rule(pick=PICK)
    def cut(self, pick: int) -> None:
        wire = _pick([w for w, _ in self.world.wires.values() if w.alive], pick)
        if wire is not None:
            wire.cut()

    @rule(pick=PICK)
    def the_orchestrator_notices(self, pick: int) -> None:
        wire = _pick([w for w, _ in self.world.wires.values() if not w.alive], pick)
        if wire is not None:
            self.world.server_notices(wire)

    @rule(pick=PICK)
    def the_runner_reconnects(self, pick: int) -> None:
        runner = _pick([r for r in self.world.runners if _lost(r) and not r.left], pick)
        if runner is not None:
            runner.disconnected()
            self.world.connect(runner)

    @rule(pick=PICK)
    def dial(self, pick: int) -> None:
        chosen = _pick([(r, j) for r, j in self.jobs() if not j.bridge and not j.told_to_end], pick)
        if chosen is not None:
            self.world.dial(*chosen)

    @rule(pick=PICK, reason=st.sampled_from(["completed", "error", "sold"]))
    def a_call_ends(self, pick: int, reason: str) -> None:
        chosen = _pick([(r, j) for r, j in self.jobs() if j.running or j.told_to_end], pick)
        if chosen is not None:
            runner, job = chosen
            if job.running:
                runner.over(job, reason)
                job.told_to_end = True
            else:
                self.world.hang_up(runner, job, clean=True)
                runner.gone(job, reason)

    @rule(pick=PICK)
    def a_bridge_breaks(self, pick: int) -> None:
        chosen = _pick([(r, j) for r, j in self.jobs() if j.bridge], pick)
        if chosen is not None:
            self.world.hang_up(*chosen, clean=False)
            if isinstance(chosen[0], V2Runner):
                chosen[1].told_to_end = True

    @rule()
    def the_orchestrator_notices_a_bridge(self) -> None:
        if self.world.notices:
            self.world.notice_bridge()

    @rule(pick=PICK)
    def the_caller_leaves(self, pick: int) -> None:
        session = _pick(list(self.world.book.sessions.values()), pick)
        if session is not None and not self.world.told[session.session_id].given:
            self.world.apply(self.world.dispatcher.caller_left(session.session_id, self.world.at))

    @rule(pick=PICK, by_agent=st.booleans())
    def an_end_is_asked_for(self, pick: int, by_agent: bool) -> None:
        world = self.world
        session = _pick(list(world.book.sessions.values()), pick)
        if session is None:
            return
        if by_agent:
            world.apply(world.dispatcher.agent_ended(session.session_id, "done", world.at))
        else:
            world.apply(world.dispatcher.end(session.session_id, "terminated", "", world.at))

    @rule(pick=PICK, drain=st.booleans(), stale=st.integers(0, 1))
    def command(self, pick: int, drain: bool, stale: int) -> None:
        runner = _pick(self.world.runners, pick)
        if runner is None:
            return
        self.epoch += 1
        epoch = max(1, self.epoch - stale)
        frame = control.Drain(drain_epoch=epoch) if drain else control.Serve(drain_epoch=epoch)
        world = self.world
        _, effects = world.dispatcher.command((ORG, runner.name), frame, world.at)
        world.apply(effects)

    @rule(pick=PICK)
    def a_signal_drains(self, pick: int) -> None:
        runner = _pick([r for r in self.world.runners if isinstance(r, PaddockRunner)], pick)
        if runner is not None:
            runner.leave()

    @rule(pick=PICK)
    def a_drained_runner_says_good_bye(self, pick: int) -> None:
        leaving = [r for r in self.world.runners if isinstance(r, PaddockRunner) and _may_leave(r)]
        runner = _pick(leaving, pick)
        if runner is not None:
            runner.bye()

    @rule(pick=PICK)
    def crash(self, pick: int) -> None:
        runner = _pick(self.world.runners, pick)
        if runner is not None:
            self.world.crash(runner)

    @rule()
    def heartbeats(self) -> None:
        for runner in self.world.runners:
            runner.beat()

    @rule(seconds=st.sampled_from([0.05, 0.5, 2.0, 2.5, 6.0, 16.0, 26.0, 31.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule(count=st.integers(1, 5))
    def commit(self, count: int) -> None:
        self.world.commit(count)

    @rule()
    def the_disk_is_full(self) -> None:
        self.world.fail()

    @rule()
    def the_orchestrator_is_killed(self) -> None:
        self.world.restart()

    @rule()
    def deliver_all(self) -> None:
        """For a moment everything works."""
        world = self.world
        for _ in range(1000):
            busy = False
            for wire, _ in list(world.wires.values()):
                while wire.up:
                    world.to_server(wire)
                    busy = True
                while wire.down:
                    world.to_runner(wire)
                    busy = True
            world.commit()
            if not busy:
                return
        raise AssertionError("frames for ever")

    # -- what must hold ---------------------------------------------------------------------

    def jobs(self) -> list[tuple[SimRunner, Job]]:
        return [(r, j) for r in self.world.runners for j in r.jobs.values()]

    @invariant()
    def steady(self) -> None:
        world = self.world
        world.book.validate()
        for runner in world.runners:
            assert len(runner.jobs) <= runner.capacity
            assert all(j.entered <= 1 for j in runner.jobs.values())
        for known in world.book.runners.values():
            ended = sum(
                sum(e.kind == "ended" for e in r.link._outbox.unacknowledged())
                for r in world.runners
                if isinstance(r, PaddockRunner) and r.name == known.runner_id
            )
            assert known.used <= known.capacity + ended or known.socket is None, known
        self.one_runs_it()
        for session_id, told in world.told.items():
            assert told.ends <= 1, session_id
            kinds = [r if r is None else r.reason for r in told.answers]
            assert len(kinds) <= 1 or kinds == [None, UNRECORDED], (session_id, kinds)
            assert not told.given or told.ends or session_id in world.book.sessions, session_id

    def one_runs_it(self) -> None:
        """At most one runner runs the newest attempt, and only its bridge is open."""
        running: dict[str, Job] = {}
        for _, job in self.jobs():
            session = self.world.book.sessions.get(job.session_id)
            if session is None or session.attempt != job.attempt or not job.running:
                continue
            assert job.session_id not in running
            running[job.session_id] = job
        for session_id, line in self.world.lines.items():
            session = self.world.book.sessions[session_id]
            assert line.attempt == session.attempt, session

    def healthy(self, seconds: int) -> None:
        """The network works, every runner beats and dials, and ended jobs go."""
        world = self.world
        for second in range(seconds):
            for wire, _ in list(world.wires.values()):
                if not wire.alive:
                    world.server_notices(wire)
            while world.notices:
                world.notice_bridge()
            for runner in world.runners:
                if _lost(runner) and not runner.left:
                    runner.disconnected()
                    world.connect(runner)
                if second % 5 == 0:
                    runner.beat()
            self.deliver_all()
            for runner, job in self.jobs():
                if job.told_to_end:
                    world.hang_up(runner, job, clean=True)
                    runner.gone(job, "completed")
                elif not job.bridge:
                    world.dial(runner, job)
            self.deliver_all()
            world.advance(1.0)
            self.steady()

    def teardown(self) -> None:
        """Once all graces are over nothing is left over, and nothing that lives was lost."""
        world = self.world
        self.healthy(100)
        live = {j.job_id for _, j in self.jobs() if j.running}
        for session in world.book.sessions.values():
            assert session.stage in (Stage.ASSIGNED, Stage.ACTIVE), session
            assert session.job_id in live, session
            assert session.orphaned_at is None, session
        assert {s.job_id for s in world.book.sessions.values()} == {
            j.job_id for _, j in self.jobs()
        }
        for pool in world.book.pools.values():
            assert not pool.waiting
        for known in world.book.runners.values():
            assert not known.ghosts, known
            assert known.used == len(known.held), known
        for session_id, told in world.told.items():
            assert told.answers or told.lost_start, session_id
        for session_id in list(world.book.sessions):
            world.apply(world.dispatcher.end(session_id, "terminated", "", world.at))
        self.healthy(30)
        assert not world.book.sessions
        assert not self.jobs()
        assert all(row.torn_down_ms is not None for row in world.disk.values())


class V2Dispatch(Dispatch):
    """Runners of the v2 protocol, and of both."""

    kinds = (V2Runner, PaddockRunner)


def _pick(choices: list[Any], pick: int) -> Any:
    return choices[pick % len(choices)] if choices else None


def _lost(runner: SimRunner) -> bool:
    return runner.wire is None or not runner.wire.alive


def _may_leave(runner: PaddockRunner) -> bool:
    return runner.link.leaving and not runner.jobs and not runner.left


@pytest.mark.parametrize("machine", [Dispatch, V2Dispatch])
@pytest.mark.timeout(0)
def test_dispatch_keeps_its_promises_whatever_happens(machine: type[Dispatch]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
            print_blob=False,
            report_multiple_bugs=False,
        ),
    )
