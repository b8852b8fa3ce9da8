"""The heap of deadlines."""

from hypothesis import given
from hypothesis import strategies as st

from paddock_orchestrator.state.timers import Alarm, Timers


@given(st.lists(st.floats(0, 100), max_size=40), st.floats(0, 100))
def test_what_is_due_comes_out_oldest_first_and_the_rest_stays(
    times: list[float], now: float
) -> None:
    timers = Timers()
    for at in times:
        timers.set(at, Alarm.OFFER, at)
    due = [t.at for t in timers.due(now)]
    assert sorted(t for t in times if t <= now) == due
    assert min((t for t in times if t > now), default=None) == timers.next_at


def test_timers_of_one_instant_fire_in_the_order_they_were_set() -> None:
    timers = Timers()
    for key in "abc":
        timers.set(1.0, Alarm.WAIT, key)
    assert [t.key for t in timers.due(1.0)] == ["a", "b", "c"]


@given(st.lists(st.floats(0, 100), max_size=40))
def test_what_is_kept_fires_as_before(times: list[float]) -> None:
    timers = Timers()
    for number, at in enumerate(times):
        timers.set(at, Alarm.WAIT, number)
    timers.keep(lambda key: isinstance(key, int) and key % 2 == 0)
    assert sorted(times[::2]) == [t.at for t in timers.due(100)]
