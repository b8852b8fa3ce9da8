"""How what is observed and what is heard become one picture."""

from msgspec import structs

from paddock.protocol.words import Mode
from paddock_operator.plan.view import DrainReason, Intent, Phase
from paddock_operator.reconcile.backend import Observed
from paddock_operator.reconcile.view import Pool, look
from paddock_operator.signals.feed import Counts, Feed, RunnerSignal


def _signal(name: str, *, connected: bool = True, booked: int = 0) -> RunnerSignal:
    return RunnerSignal(
        runner_id=name, instance="i", connected=connected, suspect=False, can_drain=True,
        capacity=4, booked=booked, report=None, registered_s=5.0, oldest_assigned_s=None,
    )  # fmt: skip


def _look(
    observed: list[Observed],
    *signals: RunnerSignal,
    fresh: bool = True,
    drain_on_cordon: bool = True,
) -> Pool:
    feed = Feed("a", 15.0, runners={s.runner_id: s for s in signals})
    return look(
        observed, feed, Counts(), fresh=fresh, capacity=4, drain_on_cordon=drain_on_cordon,
        expected_start_s=10.0, now=100.0, silent_since={},
    )  # fmt: skip


def _observed(name: str, phase: Phase = Phase.STARTING, intent: Intent | None = None) -> Observed:
    return Observed(name, "r1", phase, 90.0, intent or Intent())


def test_a_process_that_has_not_registered_is_starting() -> None:
    pool = _look([_observed("x")])

    assert pool.runners[0].phase is Phase.STARTING
    assert pool.sample.starting == 1


def test_a_registered_process_is_ready_with_what_it_holds() -> None:
    pool = _look([_observed("x")], _signal("x", booked=3))

    assert pool.runners[0].phase is Phase.READY
    assert pool.runners[0].booked == 3
    assert (pool.sample.ready, pool.sample.in_flight) == (1, 3)


def test_a_runner_whose_socket_is_gone_is_unknown_not_idle() -> None:
    pool = _look([_observed("x")], _signal("x", connected=False))

    assert pool.runners[0].booked is None
    assert pool.runners[0].silent_since == 100.0
    assert pool.sample.ready == 0


def test_nothing_is_known_of_anyone_while_statistics_are_stale() -> None:
    pool = _look([_observed("x")], _signal("x", booked=2), fresh=False)

    assert pool.runners[0].booked is None
    assert not pool.sample.fresh


def test_sessions_on_draining_runners_ask_for_no_capacity() -> None:
    leaving = Intent(1, Mode.DRAIN, DrainReason.SCALE_DOWN, 90.0, 200.0)
    pool = _look([_observed("x", intent=leaving)], _signal("x", booked=2))

    assert (pool.sample.in_flight, pool.sample.draining_sessions) == (0, 2)


def test_a_dead_process_stays_dead_whatever_the_orchestrator_still_believes() -> None:
    pool = _look([_observed("x", Phase.FAILED)], _signal("x", booked=2))

    assert pool.runners[0].phase is Phase.FAILED
    assert pool.sample.in_flight == 0


def test_a_cordoned_node_is_no_reason_to_go_where_the_pool_says_so() -> None:
    there = [structs.replace(_observed("x"), node="n1", cordoned=True)]

    assert _look(there, _signal("x")).runners[0].cordoned
    assert not _look(there, _signal("x"), drain_on_cordon=False).runners[0].cordoned


def test_a_start_later_than_three_times_expected_is_overdue() -> None:
    late = Observed("x", "r1", Phase.STARTING, 60.0)

    assert _look([late, _observed("y")]).sample.overdue_starts == 1
