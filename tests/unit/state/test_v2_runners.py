"""Runners that report nothing: their bridge and their heartbeats are all there is."""

from paddock.protocol import control
from paddock_orchestrator.state import effects as fx
from paddock_orchestrator.state.book import Stage
from unit.state.table import Table, only


def test_a_bridge_that_comes_before_the_ack_makes_the_call_active_with_the_ack() -> None:
    table = Table()
    table.runner(v2=True)
    session, _ = table.start()
    table.dispatcher.bridge_opened(session.session_id, 1, table.at)
    table.ack(session)
    assert session.stage is Stage.ACTIVE


def test_an_accepted_job_that_never_dials_gives_its_slot_back_after_the_grace() -> None:
    table = Table()
    runner, _ = table.runner(v2=True)
    session, _ = table.start()
    table.ack(session)
    for _ in range(8):
        table.passes(5)
        table.hear(runner, control.Heartbeat(active_jobs=0))
    assert session.end == ("runner_lost", "runner_gone")
    assert runner.used == 0


def test_a_bridge_that_closed_before_the_ack_does_not_keep_the_slot_for_ever() -> None:
    table = Table()
    runner, _ = table.runner(v2=True)
    session, _ = table.start()
    table.dispatcher.bridge_opened(session.session_id, 1, table.at)
    table.dispatcher.bridge_lost(session.session_id, 1, clean=True, now=table.at)
    table.ack(session)
    for _ in range(8):
        table.passes(5)
        table.hear(runner, control.Heartbeat(active_jobs=0))
    assert session.stage is Stage.ENDED
    assert runner.used == 0


def test_a_clean_close_of_the_bridge_is_the_end_of_the_call() -> None:
    table = Table()
    runner, _ = table.runner(v2=True)
    session = table.begun(runner)
    ended = table.dispatcher.bridge_lost(session.session_id, 1, clean=True, now=table.at)
    assert session.end == ("completed", "")
    assert only(ended, fx.Ended)


def test_a_runner_is_believed_over_our_own_count() -> None:
    table = Table()
    runner, _ = table.runner(v2=True, capacity=2)
    table.hear(runner, control.Heartbeat(active_jobs=2))
    _, effects = table.start()
    assert not only(effects, fx.Offer)
    assert runner.used == 2


def test_after_a_refusal_at_capacity_nothing_is_offered_before_the_next_heartbeat() -> None:
    table = Table()
    table.declare(growable=True, max_slots=5)
    runner, _ = table.runner(v2=True)
    session, _ = table.start()
    assert not only(table.ack(session, accepted=False, reason="at_capacity"), fx.Offer)
    assert only(table.hear(runner, control.Heartbeat(active_jobs=0)), fx.Offer)


def test_an_offer_on_a_socket_that_was_replaced_moves_on() -> None:
    table = Table()
    runner, _ = table.runner(v2=True)
    session, _ = table.start()
    _, effects = table.runner(v2=True)
    assert only(effects, fx.Offer)
    assert session.attempt == 2
    assert not runner.ghosts
