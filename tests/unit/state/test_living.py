"""From an accepted session to its one end."""

import pytest

from paddock.protocol import control
from paddock_orchestrator.state import effects as fx
from paddock_orchestrator.state.book import Session, Stage
from unit.state.table import Table, frames, held, only


def test_a_session_ends_once_with_the_runners_reason() -> None:
    table = Table()
    runner, _ = table.runner()
    session = table.begun(runner)
    assert only(table.event(runner, session, "ended", 2), fx.Ended)
    assert not only(table.event(runner, session, "ended", 2), fx.Ended)
    assert session.end == ("completed", "")


def test_a_repeated_event_is_acknowledged() -> None:
    table = Table()
    runner, _ = table.runner()
    session = table.begun(runner)
    table.event(runner, session, "ended", 2)
    assert [a.seq for a in only(table.event(runner, session, "ended", 2), fx.AckEvent)] == [2]


def test_an_event_of_an_offer_proves_that_it_was_accepted() -> None:
    table = Table()
    runner, _ = table.runner()
    session, _ = table.start()
    effects = table.event(runner, session, "ended")
    assert [a.refused for a in only(effects, fx.Answer)] == [None]
    assert only(effects, fx.Ended)


def test_while_one_socket_leads_to_the_session_it_is_no_orphan() -> None:
    table = Table()
    runner, _ = table.runner()
    session = table.begun(runner)
    table.dispatcher.socket_lost(runner, 1, table.at)
    table.passes(60)
    assert session.stage is Stage.ACTIVE
    table.dispatcher.bridge_lost(session.session_id, 1, clean=False, now=table.at)
    table.passes(29)
    assert session.stage is Stage.ACTIVE
    table.passes(2)
    assert session.end == ("runner_lost", "runner_gone")


def test_an_orphan_that_is_found_lives_on() -> None:
    table = Table()
    runner, _ = table.runner()
    session = table.begun(runner)
    table.dispatcher.bridge_lost(session.session_id, 1, clean=False, now=table.at)
    table.dispatcher.socket_lost(runner, 1, table.at)
    table.passes(20)
    table.runner(held=[held(session)])
    table.passes(12)
    assert session.stage is Stage.ACTIVE


def test_somebody_elses_reason_wins_over_the_runners_word() -> None:
    table = Table()
    runner, _ = table.runner()
    session = table.begun(runner)
    told = table.dispatcher.end(session.session_id, "terminated", "operator", table.at)
    assert [v.name for v in frames(told, control.Verb)] == ["end"]
    table.event(runner, session, "ended", 2)
    assert session.end == ("terminated", "operator")


def test_a_call_that_will_not_end_is_cancelled_and_then_given_up() -> None:
    table = Table()
    runner, _ = table.runner()
    session = table.begun(runner)
    table.dispatcher.end(session.session_id, "terminated", "", table.at)

    def beaten(seconds: int) -> list[fx.Effect]:
        effects: list[fx.Effect] = []
        for _ in range(seconds):
            effects += table.hear(runner, control.Heartbeat(active_jobs=1)) + table.passes(1)
        return effects

    assert frames(beaten(10), control.JobCancel)
    assert only(beaten(5), fx.Ended)
    assert runner.used == 1, "the runner has not said that the slot is free"


def test_a_call_longer_than_its_maximum_is_ended() -> None:
    table = Table()
    runner, _ = table.runner()
    session = table.begun(runner)
    table.now += 7201
    assert frames(table.dispatcher.tick(table.at), control.Verb)
    assert session.wanted_end is not None
    assert session.wanted_end[0] == "max_duration"


def test_after_a_restart_a_clean_close_of_the_bridge_is_not_taken_for_the_end() -> None:
    table, session = recovered()
    table.dispatcher.bridge_opened(session.session_id, 1, table.at)
    table.dispatcher.bridge_lost(session.session_id, 1, clean=True, now=table.at)
    assert session.end is None
    runner, _ = table.runner(held=[held(session, "ended")])
    ended = control.SessionEvent(
        seq=9, session_id="s1", attempt=1, kind="ended", at_ms=0, reason="error"
    )
    table.hear(runner, ended)
    assert session.end is not None
    assert session.end[0] == "error"


@pytest.mark.parametrize("back", [True, False])
def test_after_a_restart_a_session_waits_for_its_runner(back: bool) -> None:
    table, session = recovered()
    table.passes(20)
    if back:
        table.runner(held=[held(session)])
    table.passes(14)
    assert back is (session.stage is not Stage.ENDED)


def recovered() -> tuple[Table, Session]:
    table = Table()
    pool = table.book.pool(("org", "desk"))
    session = Session("s1", pool, table.at, 7200.0, b"{}", b"{}", stage=Stage.ASSIGNED, attempt=1)
    table.dispatcher.recover([(session, "a", "one")], table.at)
    return table, session


def test_ended_sessions_are_not_kept_by_their_far_deadlines() -> None:
    table = Table()
    runner, _ = table.runner()
    for seq in range(1, 2001):
        session, _ = table.start()
        table.ack(session)
        table.event(runner, session, "ended", seq)
    table.dispatcher.sweep(table.at)
    assert len(table.book.timers) < 100
