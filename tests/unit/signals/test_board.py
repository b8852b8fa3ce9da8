"""One stream for many pools: nobody takes what it was not told for what is not there."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from paddock_operator.signals.board import StatisticsBoard


def line(seq: int, *, pools: tuple[str, ...] = (), runners: dict[str, str] | None = None,
         gone: tuple[str, ...] = (), mark: int = 0) -> dict[str, Any]:  # fmt: skip
    return {
        "boot": "b", "seq": seq, "gone": list(gone),
        "pools": [{"agent": agent, "mark": mark} for agent in pools],
        "runners": [
            {"runner_id": name, "agent": agent, "mark": mark}
            for name, agent in (runners or {}).items()
        ],
    }  # fmt: skip


class Listener:
    """What a feed would believe."""

    def __init__(self) -> None:
        self.lines = 0
        self.runners: dict[str, int] = {}

    def hear(self, told: dict[str, Any]) -> None:
        self.lines += 1
        if told["seq"] == 1:
            self.runners = {}
        for name in told["gone"]:
            self.runners.pop(name, None)
        self.runners |= {r["runner_id"]: r["mark"] for r in told["runners"]}


def test_who_comes_late_hears_everything_with_the_next_line() -> None:
    board, late = StatisticsBoard(), Listener()
    board.hear(line(1, pools=("desk", "other"), runners={"a": "desk", "b": "other"}))
    board.subscribe("desk", late.hear)
    assert late.lines == 0
    board.hear(line(2))
    assert late.runners == {"a": 0}


def test_another_agents_runners_are_not_heard() -> None:
    board, listener = StatisticsBoard(), Listener()
    board.subscribe("desk", listener.hear)
    board.hear(line(1, runners={"b": "other"}))
    assert (listener.lines, listener.runners) == (1, {})


def test_two_pools_of_one_agent_hear_the_same() -> None:
    """One of them stands aside, and yet has runners that are to leave."""
    board, first, second = StatisticsBoard(), Listener(), Listener()
    board.subscribe("desk", first.hear)
    board.hear(line(1, runners={"a": "desk"}))
    board.subscribe("desk", second.hear)
    board.hear(line(2, runners={"b": "desk"}))
    assert first.runners == second.runners == {"a": 0, "b": 0}


def test_unsubscribing_leaves_a_successor_alone() -> None:
    board, first, second = StatisticsBoard(), Listener(), Listener()
    board.subscribe("desk", first.hear)
    board.subscribe("desk", second.hear)
    board.unsubscribe("desk", first.hear)
    board.hear(line(1))
    assert (first.lines, second.lines) == (0, 1)


_names = st.sampled_from(["r1", "r2", "r3"])
_changes = st.lists(
    st.one_of(
        st.tuples(st.just("told"), _names),
        st.tuples(st.just("gone"), _names),
        st.tuples(st.just("again"), st.just("")),
        st.tuples(st.just("join"), st.just("")),
    ),
    max_size=20,
)


@given(changes=_changes)
def test_whenever_it_joined_a_listener_believes_what_the_stream_says(
    changes: list[tuple[str, str]],
) -> None:
    board, listener = StatisticsBoard(), Listener()
    truth: dict[str, int] = {}
    seq, joined = 0, False
    for mark, (what, name) in enumerate(changes):
        seq += 1
        match what:
            case "join":
                board.subscribe("desk", listener.hear)
                joined = True
                board.hear(line(seq + 1))
                seq += 1
            case "again":
                seq, truth = 1, {}
                board.hear(line(1))
            case "told":
                truth[name] = mark
                board.hear(line(seq + 1, runners={name: "desk"}, mark=mark))
                seq += 1
            case "gone":
                truth.pop(name, None)
                board.hear(line(seq + 1, gone=(name,)))
                seq += 1
        if joined:
            assert listener.runners == truth
