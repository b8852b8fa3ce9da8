"""The runner's end of the control socket."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.protocol import control, features
from paddock.protocol.barrier import Barrier
from paddock.protocol.permits import Permits
from paddock.protocol.runner_link import (
    Beat,
    DrainChanged,
    EndJob,
    Output,
    Remember,
    Reply,
    RunJob,
    RunnerLink,
)
from paddock.protocol.words import Mode, SessionState

CAPABILITIES = control.Capabilities(max_concurrent=2, agent_id="desk")


def link(capacity: int = 2, permits: int = 100) -> RunnerLink:
    made = RunnerLink("a", "one", "desk", "desk", capacity, Permits(permits, 60.0))
    welcome(made)
    return made


def welcome(made: RunnerLink) -> list[Output]:
    made.registration(CAPABILITIES)
    frame = control.Welcomed(heartbeat_interval_s=5, features=list(features.ALL), boot="b")
    return made.receive(frame, 0.0)


def assign(number: int = 1, attempt: int = 1, agent: str = "desk") -> control.JobAssign:
    job_id = f"s{number}.{attempt}"
    return control.JobAssign(
        job_id=job_id,
        call_id=f"s{number}",
        agent_id=agent,
        bridge_url="u",
        call_token="t",
        assign_id=job_id,
        attempt=attempt,
    )


def stored(made: RunnerLink, outputs: list[Output]) -> list[Output]:
    """These, and what follows when all that is to be remembered is."""
    more = [made.remembered(o.drain_epoch) for o in outputs if isinstance(o, Remember)]
    return [*outputs, *(each for answer in more for each in answer)]


def replies(outputs: list[Output], kind: type[Any]) -> list[Any]:
    return [o.frame for o in outputs if isinstance(o, Reply) and isinstance(o.frame, kind)]


def ack(outputs: list[Output]) -> control.JobAck:
    (found,) = replies(outputs, control.JobAck)
    assert isinstance(found, control.JobAck)
    return found


def test_a_job_is_booked_before_it_is_acknowledged_and_runs_once() -> None:
    made = link()
    first = made.receive(assign(), 0.0)
    assert [Reply(ack(first)), RunJob(assign())] == first
    assert made.in_flight == 1


@pytest.mark.parametrize("ended", [False, True])
def test_an_assignment_delivered_twice_is_answered_the_same_and_run_once(ended: bool) -> None:
    made = link(capacity=1)
    first = made.receive(assign(), 0.0)
    if ended:
        made.ended("s1.1", "completed", "", 0)
    again = made.receive(assign(), 1.0)
    assert ack(first) == ack(again)
    assert not [o for o in again if isinstance(o, RunJob)]


def test_a_full_runner_refuses() -> None:
    made = link(capacity=1)
    made.receive(assign(1), 0.0)
    refused = ack(made.receive(assign(2), 0.0))
    assert (refused.accepted, refused.reason) == (False, "at_capacity")
    made.ended("s1.1", "completed", "", 0)
    assert ack(made.receive(assign(2), 0.0)).accepted


def test_permits_bound_the_starts_of_a_minute_and_say_when_the_next_is_due() -> None:
    made = link(permits=1)
    made.receive(assign(1), 0.0)
    refused = ack(made.receive(assign(2), 20.0))
    assert (refused.reason, refused.retry_after_ms) == ("start_rate", 40_001)
    assert ack(made.receive(assign(3), 60.0)).accepted


def test_a_refused_start_takes_no_permit() -> None:
    made = link(permits=1)
    made.receive(control.Drain(drain_epoch=1), 0.0)
    made.receive(assign(1), 0.0)
    made.receive(control.Serve(drain_epoch=2), 0.0)
    assert ack(made.receive(assign(2), 0.0)).accepted


def test_another_agents_job_is_refused() -> None:
    assert ack(link().receive(assign(agent="other"), 0.0)).reason == "agent_id_mismatch"


@pytest.mark.parametrize("leaving", [True, False])
def test_a_draining_runner_refuses(leaving: bool) -> None:
    made = link()
    if leaving:
        made.leaving = True
    else:
        made.receive(control.Drain(drain_epoch=1), 0.0)
    assert ack(made.receive(assign(), 0.0)).reason == "draining"
    assert made.heartbeat().draining


def test_no_serve_calls_a_signal_off() -> None:
    made = link()
    made.leaving = True
    outputs = stored(made, made.receive(control.Serve(drain_epoch=3), 0.0))
    assert [r.mode for r in replies(outputs, control.DrainReport)] == [Mode.DRAIN]
    assert not [o for o in outputs if isinstance(o, DrainChanged)]


def test_an_ended_session_is_listed_until_its_event_is_acknowledged() -> None:
    made = link()
    made.receive(assign(), 0.0)
    (event,) = replies(made.ended("s1.1", "completed", "", 0), control.SessionEvent)
    listed = made.registration(CAPABILITIES).sessions
    assert [(h.session_id, h.attempt, h.state) for h in listed] == [("s1", 1, SessionState.ENDED)]
    assert [event] == replies(welcome(made), control.SessionEvent)
    made.receive(control.EventsAck(seq=event.seq), 0.0)
    assert not made.registration(CAPABILITIES).sessions
    assert not replies(welcome(made), control.SessionEvent)


def test_events_while_the_socket_is_away_go_out_after_the_next_welcome_in_order() -> None:
    made = link()
    made.receive(assign(), 0.0)
    made.registration(CAPABILITIES)
    assert not made.active("s1.1", 0)
    made.ending("s1.1", 0)
    made.ended("s1.1", "error", "x" * 900, 0)
    events = replies(welcome(made), control.SessionEvent)
    assert [e.kind for e in events] == ["active", "ending", "ended"]
    assert [e.seq for e in events] == [1, 2, 3]
    assert len(events[-1].detail) == 500


def test_live_sessions_are_listed_with_their_state_and_attempt() -> None:
    made = link()
    made.receive(assign(1, attempt=2), 0.0)
    made.active("s1.2", 0)
    (listed,) = made.registration(CAPABILITIES).sessions
    assert (listed.session_id, listed.attempt, listed.state) == ("s1", 2, SessionState.ACTIVE)


def test_the_last_end_of_a_draining_runner_is_reported_at_once() -> None:
    made = link()
    made.receive(assign(), 0.0)
    stored(made, made.receive(control.Drain(drain_epoch=1), 0.0))
    outputs = made.ended("s1.1", "completed", "", 0)
    assert [r.booked for r in replies(outputs, control.DrainReport)] == [0]


def test_a_verb_finds_the_job_of_its_session_or_says_that_it_is_gone() -> None:
    made = link()
    made.receive(assign(), 0.0)
    verb = control.Verb(verb_id="v", session_id="s1", name="end", reason="max_duration")
    assert [EndJob("s1.1", "max_duration", "v")] == made.receive(verb, 0.0)
    made.ended("s1.1", "completed", "", 0)
    (result,) = replies(made.receive(verb, 0.0), control.VerbResult)
    assert not result.ok


def test_a_cancel_of_a_job_that_is_not_held_changes_nothing() -> None:
    assert not link().receive(control.JobCancel(job_id="x.1"), 0.0)


def test_a_welcome_asks_for_heartbeats() -> None:
    assert Beat(5) in welcome(link())


def test_an_accepted_job_is_held_when_its_socket_dies_before_the_answer_is_out() -> None:
    """The other end may have it. The same assignment on a new socket is not run again."""
    made = link(capacity=1)
    made.receive(assign(), 0.0)
    (held,) = made.registration(CAPABILITIES).sessions
    assert (held.session_id, held.state) == ("s1", SessionState.ASSIGNED)
    welcome(made)
    again = made.receive(assign(), 1.0)
    assert ack(again).accepted
    assert not [o for o in again if isinstance(o, RunJob)]


@pytest.mark.parametrize("leaving", [False, True])
def test_what_was_obeyed_is_to_be_remembered_before_it_is_reported(leaving: bool) -> None:
    """Also by a process that goes: its container may be restarted."""
    made = link()
    made.leaving = leaving
    outputs = made.receive(control.Drain(drain_epoch=4), 0.0)
    assert outputs[0] == Remember(4, Mode.DRAIN)
    assert not replies(outputs, control.DrainReport)
    assert [r.drain_epoch for r in replies(made.remembered(4), control.DrainReport)] == [4]
    again = made.receive(control.Drain(drain_epoch=4), 0.0)
    assert not [o for o in again if isinstance(o, Remember)]
    assert len(replies(again, control.DrainReport)) == 1


def test_what_cannot_be_stored_is_obeyed_and_never_reported() -> None:
    """Not when it is told again, nor when the last call ends, nor on a new socket."""
    made = link()
    made.receive(assign(1), 0.0)
    told = made.receive(control.Drain(drain_epoch=4, deadline_ms=9000), 0.0)
    assert DrainChanged(True, 9.0) in told
    assert ack(made.receive(assign(2), 0.0)).reason == "draining"
    again = made.receive(control.Drain(drain_epoch=4), 0.0)
    ended = made.ended("s1.1", "completed", "", 0)
    for outputs in (told, again, ended, welcome(made), made.beat()):
        assert Remember(4, Mode.DRAIN) in outputs
        assert not replies(outputs, control.DrainReport)
    assert not made.remembered(3)
    assert [
        (r.drain_epoch, r.booked) for r in replies(made.remembered(4), control.DrainReport)
    ] == [(4, 0)]
    assert [Reply(made.heartbeat())] == made.beat()


class Container:
    """A runner's link in a container that is restarted, on a disk that is full at times."""

    def __init__(self) -> None:
        self.file = (0, Mode.SERVE)
        self.reported = 0
        """The largest epoch of which a drain was reported."""
        self.jobs: list[str] = []
        self.restart()

    def restart(self) -> None:
        barrier = Barrier()
        barrier.restore(*self.file)
        self.link = RunnerLink("a", "one", "desk", "desk", 99, Permits(9999, 60.0), barrier)
        self.jobs.clear()
        self.take(welcome(self.link), full=True)

    def take(self, outputs: list[Output], *, full: bool) -> None:
        for output in outputs:
            match output:
                case Remember(drain_epoch, mode) if not full:
                    self.file = (drain_epoch, mode)
                    self.take(self.link.remembered(drain_epoch), full=full)
                case Reply(control.DrainReport(drain_epoch=epoch, mode=mode)):
                    assert epoch <= self.file[0], "reported before it was stored"
                    if mode == Mode.DRAIN:
                        self.reported = max(self.reported, epoch)
                case RunJob(assigned):
                    assert self.link.barrier.drain_epoch >= self.reported, "forgot its drain"
                    self.jobs.append(assigned.job_id)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["drain", "serve", "assign", "end", "beat", "welcome", "restart"]),
        st.integers(1, 6),
        st.booleans(),
    ),
    max_size=40,
)


@given(STEPS)
def test_no_report_is_ever_forgotten(steps: list[tuple[str, int, bool]]) -> None:
    """However often nothing can be stored and the container is restarted: what was reported of a
    drain is in the file, and a call is taken only in a later epoch's name."""
    made = Container()
    for number, (step, epoch, full) in enumerate(steps):
        match step:
            case "drain":
                made.take(made.link.receive(control.Drain(drain_epoch=epoch), 0.0), full=full)
            case "serve":
                made.take(made.link.receive(control.Serve(drain_epoch=epoch), 0.0), full=full)
            case "assign":
                made.take(made.link.receive(assign(number), 0.0), full=full)
            case "end" if made.jobs:
                made.take(made.link.ended(made.jobs.pop(), "completed", "", 0), full=full)
            case "beat":
                made.take(made.link.beat(), full=full)
            case "welcome":
                made.take(welcome(made.link), full=full)
            case "restart":
                made.restart()
    made.take(made.link.beat(), full=False)
    assert made.file == (made.link.barrier.drain_epoch, made.link.barrier.mode)
