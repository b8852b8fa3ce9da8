"""One start from admission to its answer."""

import pytest

from paddock.protocol import control
from paddock_orchestrator.dispatch.refusal import Reason
from paddock_orchestrator.state import effects as fx
from paddock_orchestrator.state.book import Stage
from unit.state.table import Table, frames, only


def refused(effects: list[fx.Effect]) -> list[Reason]:
    return [a.refused.reason for a in only(effects, fx.Answer) if a.refused is not None]


def test_the_slot_is_taken_before_the_offer_is_sent() -> None:
    table = Table()
    runner, _ = table.runner()
    _, effects = table.start()
    assert runner.used == 1
    assert only(effects, fx.Offer)


def test_an_agent_nobody_has_heard_of_is_unknown() -> None:
    _, effects = Table().start()
    assert refused(effects) == [Reason.UNKNOWN_AGENT]


def test_an_agent_whose_runners_left_has_no_runners_but_is_known() -> None:
    table = Table()
    runner, _ = table.runner()
    table.hear(runner, control.Bye())
    _, effects = table.start()
    assert refused(effects) == [Reason.NO_RUNNERS]


def test_at_the_maximum_a_start_is_refused_at_once() -> None:
    table = Table()
    table.runner()
    table.start()
    _, effects = table.start()
    assert refused(effects) == [Reason.AT_CAPACITY]


def test_when_everybody_drains_the_start_is_told_so() -> None:
    table = Table()
    table.runner(draining=True)
    _, effects = table.start()
    assert refused(effects) == [Reason.DRAINING]


def test_a_start_waits_while_the_pool_may_grow_and_goes_to_the_runner_that_comes() -> None:
    table = Table()
    table.declare(growable=True, max_slots=1)
    session, effects = table.start()
    assert not only(effects, fx.Answer)
    _, effects = table.runner()
    assert [session] == [o.session for o in only(effects, fx.Offer)]


def test_waiting_starts_are_served_in_order() -> None:
    table = Table()
    table.declare(wait_at_maximum=True)
    first, _ = table.start()
    second, _ = table.start()
    _, effects = table.runner(capacity=2)
    assert [first, second] == [o.session for o in only(effects, fx.Offer)]


def test_a_start_that_waited_its_time_is_refused() -> None:
    table = Table()
    table.declare(wait_at_maximum=True, queue_timeout_s=3.0)
    table.start()
    assert refused(table.passes(3.0)) == [Reason.NO_RUNNERS]


def test_an_offer_that_fails_after_its_waiting_time_is_refused_and_not_queued_for_ever() -> None:
    table = Table()
    table.declare(wait_at_maximum=True, queue_timeout_s=2.0)
    session, _ = table.start()
    table.now += 1.9
    table.runner()
    assert session.stage is Stage.OFFERED
    assert refused(table.passes(1.0)) == [Reason.START_TIMEOUT]
    assert not table.book.sessions


def test_an_unanswered_offer_moves_on_and_keeps_a_ghost_of_its_slot() -> None:
    table = Table()
    silent, _ = table.runner("a")
    table.runner("b")
    session, _ = table.start()
    effects = table.passes(2.0)
    assert only(effects, fx.Offer)
    assert frames(effects, control.JobCancel)
    assert (session.last_runner_id, session.attempt) == ("b", 2)
    assert silent.used == 1


def test_a_late_acceptance_is_cancelled_and_its_end_frees_the_slot() -> None:
    table = Table()
    silent, _ = table.runner("a")
    table.runner("b")
    session, _ = table.start()
    table.passes(2.0)
    late = table.hear(silent, control.JobAck(job_id=f"{session.session_id}.1", accepted=True))
    assert frames(late, control.JobCancel)
    assert silent.used == 1
    ended = control.SessionEvent(
        seq=1, session_id=session.session_id, attempt=1, kind="ended", at_ms=0
    )
    table.hear(silent, ended)
    assert silent.used == 0


def test_three_refusals_are_the_end_of_it_and_name_the_runners() -> None:
    table = Table()
    for name in "abc":
        table.runner(name)
    session, _ = table.start()
    effects: list[fx.Effect] = []
    for _ in range(3):
        effects = table.ack(session, accepted=False, reason="internal")
    answer = only(effects, fx.Answer)[0]
    assert answer.refused.reason is Reason.START_TIMEOUT
    assert [(a.runner_id, a.reason) for a in answer.refused.attempts] == [
        ("a", "internal"),
        ("b", "internal"),
        ("c", "internal"),
    ]


def test_a_refused_start_leaves_no_open_record() -> None:
    table = Table()
    table.runner()
    session, _ = table.start()
    table.passes(40.0)
    assert session.stage is Stage.ENDED
    assert session.torn_down_ms is not None


@pytest.mark.parametrize("offered", [True, False])
def test_a_start_whose_caller_left_is_answered_and_forgotten(offered: bool) -> None:
    table = Table()
    table.declare(wait_at_maximum=True)
    if offered:
        table.runner()
    session, _ = table.start()
    effects = table.dispatcher.caller_left(session.session_id, table.at)
    assert refused(effects) == [Reason.CANCELLED]
    assert not table.book.sessions


def test_a_bridge_of_a_withdrawn_offer_is_closed_so_that_the_next_one_can_open() -> None:
    table = Table()
    table.runner("a")
    table.runner("b")
    session, _ = table.start()
    table.dispatcher.bridge_opened(session.session_id, 1, table.at)
    assert only(table.passes(2.0), fx.EndBridge)
    table.ack(session)
    table.dispatcher.bridge_opened(session.session_id, 2, table.at)
    table.dispatcher.bridge_lost(session.session_id, 1, clean=True, now=table.at)
    assert session.bridge == "open"


def test_a_start_that_could_not_be_recorded_closes_its_bridge_and_is_refused() -> None:
    table = Table()
    runner, _ = table.runner()
    session = table.begun(runner)
    effects = table.dispatcher.not_recorded(session, table.at)
    assert refused(effects) == [Reason.STORE_UNAVAILABLE]
    assert only(effects, fx.EndBridge)
    assert frames(effects, control.JobCancel)


def test_a_runner_that_fails_three_times_is_left_alone_for_a_while() -> None:
    table = Table()
    runner, _ = table.runner()
    for _ in range(1):
        session, _ = table.start()
        for _ in range(3):
            table.ack(session, accepted=False, reason="internal")
    assert runner.benched_until > table.now


def test_permits_hold_a_start_back_until_one_is_due() -> None:
    table = Table()
    table.declare(wait_at_maximum=True, queue_timeout_s=100.0)
    runner, _ = table.runner(capacity=5, permits=1)
    table.begun(runner)
    _, effects = table.start()
    assert not only(effects, fx.Offer)
    table.now += 60.1
    table.hear(runner, control.Heartbeat(active_jobs=1))
    assert runner.used == 2


def test_a_start_that_only_draining_runners_refused_is_told_so() -> None:
    table = Table()
    table.runner()
    session, _ = table.start()

    effects = table.ack(session, accepted=False, reason="draining")

    assert [a.refused.reason for a in only(effects, fx.Answer)] == ["draining"]
