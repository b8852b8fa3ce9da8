"""Runners come, go, come back and are told to drain."""

import pytest

from paddock.protocol import control
from paddock.protocol.codec import ProtocolError
from paddock.protocol.words import Mode, SessionState
from paddock_orchestrator.dispatch.placement import Placement
from paddock_orchestrator.state import effects as fx
from paddock_orchestrator.state.book import KEEP_POOLS, Declared, Stage
from unit.state.table import KEY, ORG, Table, frames, held, only

RUNNER = (ORG, "a")


def test_a_v2_runner_is_welcomed_with_v2_fields_only() -> None:
    _, effects = Table().runner(v2=True)
    expected = control.Registered(heartbeat_interval_s=5, transport_ack="dial_out")
    assert [expected] == frames(effects, control.Registered)


def test_the_newest_socket_of_a_runner_wins_and_its_calls_stay() -> None:
    table = Table()
    runner, _ = table.runner()
    session = table.begun(runner)
    again, effects = table.runner(held=[held(session)])
    assert again is runner
    assert [c.socket for c in only(effects, fx.CloseSocket)] == [1]
    assert session.stage is Stage.ACTIVE


def test_an_offer_whose_ack_was_lost_is_accepted_when_the_runner_lists_it() -> None:
    table = Table()
    table.runner()
    session, _ = table.start()
    _, effects = table.runner(held=[held(session, "assigned")])
    assert [a.refused for a in only(effects, fx.Answer)] == [None]
    assert session.stage is Stage.ASSIGNED


def test_a_session_its_runner_forgot_is_lost() -> None:
    table = Table()
    runner, _ = table.runner()
    session = table.begun(runner)
    table.runner()
    assert session.end == ("runner_lost", "runner_forgot")


def test_the_sessions_of_a_restarted_runner_are_lost_and_only_they() -> None:
    table = Table()
    runner, _ = table.runner()
    lost = table.begun(runner)
    other, _ = table.runner("b")
    kept = table.begun(other)
    table.runner(instance="two")
    assert lost.end == ("runner_lost", "runner_restarted")
    assert kept.stage is Stage.ACTIVE


def test_what_a_runner_holds_and_nobody_knows_is_cancelled_and_takes_a_slot() -> None:
    table = Table()
    unknown = control.HeldSession(session_id="x", attempt=3, state=SessionState.ACTIVE)
    runner, effects = table.runner(held=[unknown])
    assert [c.job_id for c in frames(effects, control.JobCancel)] == ["x.3"]
    assert runner.used == 1


def test_two_attempts_of_one_session_on_a_runner_take_two_slots() -> None:
    table = Table()
    runner, _ = table.runner(capacity=2)
    session, _ = table.start()
    table.passes(2.0)
    table.hear(runner, control.Heartbeat(active_jobs=1))
    if session.attempt == 1:
        table.passes(0.5)
    table.ack(session)
    first = control.HeldSession(session_id=session.session_id, attempt=1, state=held(session).state)
    both, _ = table.runner(capacity=2, held=[first, held(session)])
    assert both.used == 2
    assert session.stage is Stage.ACTIVE


def test_nothing_is_offered_to_a_runner_before_all_it_holds_is_counted() -> None:
    table = Table()
    table.declare(wait_at_maximum=True)
    runner, _ = table.runner()
    table.begun(runner)
    table.start()
    unknown = control.HeldSession(session_id="x", attempt=1, state=SessionState.ACTIVE)
    _, effects = table.runner(held=[unknown])
    assert not only(effects, fx.Offer)
    assert runner.used == 1


def test_a_silent_runner_is_suspected_then_dropped() -> None:
    table = Table()
    runner, _ = table.runner()
    table.passes(15)
    assert runner.suspect
    assert only(table.passes(10), fx.CloseSocket)
    assert runner.socket is None


def test_any_frame_clears_a_suspicion() -> None:
    table = Table()
    runner, _ = table.runner()
    table.passes(15)
    table.hear(runner, control.Heartbeat(active_jobs=0))
    assert not runner.suspect
    assert only(table.start()[1], fx.Offer)


def test_a_runner_that_says_good_bye_gets_nothing_more_and_is_forgotten() -> None:
    table = Table()
    runner, _ = table.runner()
    table.start()
    effects = table.hear(runner, control.Bye())
    assert not only(effects, fx.Offer)
    assert RUNNER not in table.book.runners


def drain(table: Table, epoch: int = 1) -> tuple[bool, list[fx.Effect]]:
    return table.dispatcher.command(RUNNER, control.Drain(drain_epoch=epoch), table.at)


def test_a_drained_runner_gets_nothing_although_an_older_heartbeat_says_it_serves() -> None:
    table = Table()
    runner, _ = table.runner()
    drain(table)
    table.hear(runner, control.Heartbeat(active_jobs=0, draining=False))
    assert runner.draining


def test_a_report_of_an_earlier_command_does_not_undo_a_drain() -> None:
    table = Table()
    runner, _ = table.runner()
    drain(table, 5)
    table.hear(runner, control.DrainReport(drain_epoch=3, mode=Mode.SERVE, booked=0))
    assert runner.draining


def test_a_drain_lost_with_its_socket_is_told_again() -> None:
    table = Table()
    runner, _ = table.runner()
    drain(table)
    _, effects = table.runner()
    assert [control.Drain(drain_epoch=1)] == frames(effects, control.Drain)
    assert runner.draining


def test_a_runner_serves_again_only_on_its_own_word() -> None:
    table = Table()
    runner, _ = table.runner()
    drain(table, 1)
    table.hear(runner, control.DrainReport(drain_epoch=1, mode=Mode.DRAIN, booked=0))
    table.dispatcher.command(RUNNER, control.Serve(drain_epoch=2), table.at)
    assert runner.draining
    table.hear(runner, control.DrainReport(drain_epoch=2, mode=Mode.SERVE, booked=0))
    assert not runner.draining


def test_an_older_command_is_not_relayed() -> None:
    table = Table()
    table.runner()
    drain(table, 4)
    assert drain(table, 3) == (False, [])


def test_a_v2_runner_cannot_be_told_to_drain() -> None:
    table = Table()
    table.runner(v2=True)
    assert drain(table) == (False, [])


def test_changing_the_placement_keeps_the_runners_available() -> None:
    table = Table()
    table.runner()
    table.declare(placement=Placement.SPREAD)
    assert only(table.start()[1], fx.Offer)


def test_a_declaration_is_good_for_its_time_only() -> None:
    table = Table()
    table.declare(growable=True, max_slots=1)
    table.now += 31
    assert only(table.start()[1], fx.Answer)


def test_a_renewed_declaration_is_good_for_its_time_again() -> None:
    table = Table()
    table.declare(growable=True, max_slots=1)
    table.now += 29
    assert table.dispatcher.renew(KEY, table.at)
    table.now += 29
    assert not only(table.start()[1], fx.Answer)


def test_what_lapsed_or_was_closed_or_never_declared_is_not_renewed() -> None:
    table = Table()
    assert not table.dispatcher.renew(KEY, table.at)
    table.declare(growable=True, max_slots=1)
    table.now += 31
    assert not table.dispatcher.renew(KEY, table.at)
    table.declare(growable=True, max_slots=1)
    table.book.pools[KEY].closed = True
    assert not table.dispatcher.renew(KEY, table.at)


def test_a_declared_pool_is_noted_when_its_decision_changes() -> None:
    table = Table()
    assert only(table.declare(desired=2, reason="load"), fx.Note)
    assert not only(table.declare(desired=2, reason="load"), fx.Note)
    assert KEY in table.book.pools
    assert Declared(desired=2, reason="load") == table.book.pools[KEY].declared


def test_a_runner_cannot_take_the_name_of_another_agents_live_runner() -> None:
    """Or a key limited to one agent could end the calls of another."""
    table = Table()
    runner, _ = table.runner()
    session = table.begun(runner)
    caps = control.Capabilities(max_concurrent=1, agent_id="other")
    frame = control.Register(worker_id=runner.runner_id, pool="other", capabilities=caps)

    with pytest.raises(ProtocolError, match="worker_id"):
        table.dispatcher.register(ORG, frame, 99, table.at)

    assert session.stage is Stage.ACTIVE


def test_a_command_for_an_earlier_runner_of_the_name_is_not_relayed() -> None:
    """Its epochs mean nothing to this one."""
    table = Table()
    runner, _ = table.runner()
    frame = control.Drain(drain_epoch=1)
    told, effects = table.dispatcher.command(RUNNER, frame, table.at, instance="another")
    assert not told
    assert not frames(effects, control.Drain)
    assert not runner.draining
    told, _ = table.dispatcher.command(RUNNER, frame, table.at, instance=runner.instance[:2])
    assert told


def test_the_end_of_an_earlier_runner_of_the_name_ends_nothing() -> None:
    table = Table()
    runner, _ = table.runner()
    table.dispatcher.gone(RUNNER, table.at, instance="another")
    assert RUNNER in table.book.runners
    table.dispatcher.gone(RUNNER, table.at, instance=runner.instance)
    assert RUNNER not in table.book.runners


def test_a_runner_that_is_said_to_be_over_gets_nothing_when_it_comes_back() -> None:
    """A pod is given up with its node, which may only be away."""
    table = Table()
    runner, _ = table.runner()
    lost = table.begun(runner)
    table.dispatcher.gone(RUNNER, table.at, instance=runner.instance)
    assert lost.end == ("runner_lost", "runner_gone")

    again, effects = table.runner(held=[held(lost)])
    assert [d.drain_epoch for d in frames(effects, control.Drain)] == [1]
    assert frames(effects, control.JobCancel)
    table.hear(again, control.Heartbeat(active_jobs=0, draining=False))
    session, effects = table.start()
    assert not only(effects, fx.Offer)
    assert session.stage is not Stage.OFFERED

    table.runner(instance="two")
    assert only(table.start()[1], fx.Offer)


def test_an_end_that_was_asked_for_while_the_socket_was_dying_is_asked_for_again() -> None:
    table = Table()
    runner, _ = table.runner()
    session = table.begun(runner)
    table.dispatcher.end(session.session_id, "completed", "hangup", table.at)
    _, effects = table.runner(held=[held(session)])
    assert [v.reason for v in frames(effects, control.Verb)] == ["completed"]
    _, effects = table.runner(held=[held(session, SessionState.ENDING)])
    assert not frames(effects, control.Verb)


def test_of_very_many_names_of_agents_only_those_that_were_used_stay() -> None:
    table = Table()
    runner, _ = table.runner()
    table.begun(runner)
    table.dispatcher.declare((ORG, "declared"), Declared(), table.at)
    for number in range(2 * KEEP_POOLS):
        name = f"agent-{number}"
        frame = control.Register(
            worker_id=name,
            pool=name,
            capabilities=control.Capabilities(max_concurrent=1, agent_id=name),
        )
        passing, _ = table.dispatcher.register(ORG, frame, 1000 + number, table.at)
        table.dispatcher.hear(passing, control.Bye(), table.at)
    assert len(table.book.pools) <= KEEP_POOLS
    assert {KEY, (ORG, "declared"), (ORG, "agent-0")} <= set(table.book.pools)
