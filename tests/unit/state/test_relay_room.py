"""What a relay keeps for a side that is slow or away, and what it does when that is too much."""

import pytest

from paddock.protocol import bridge, features
from paddock_orchestrator.state.relay import (
    KEEP_BYTES,
    KEEP_FRAMES,
    CallerAhead,
    Relay,
    ToCaller,
    ToRunner,
)

HELLO = bridge.Hello(features=[features.RESUME, features.CONTROLS])
PLAIN = bridge.Hello()
MIB = 1 << 20


def said(seq: int, text: str = "x") -> bridge.UserText:
    return bridge.UserText(text=text, seq=seq)


def to_runner(outputs: list[object]) -> list[object]:
    return [o.frame for o in outputs if isinstance(o, ToRunner)]


@pytest.mark.parametrize("here", [True, False], ids=["slow", "away"])
@pytest.mark.parametrize("size", [40, 100_000])
def test_a_caller_says_so_much_and_no_more(here: bool, size: int) -> None:
    relay = Relay()
    relay.caller_opened(received=0)
    if here:
        relay.runner_opened(HELLO)
    outputs: list[object] = []
    taken = 0
    while CallerAhead() not in outputs:
        taken += 1
        outputs = [*relay.from_caller(said(taken), size)]
    assert taken - 1 == (KEEP_FRAMES if size == 40 else KEEP_BYTES // size)
    assert relay.kept_for_agent.bytes <= KEEP_BYTES


def test_nothing_is_taken_behind_what_was_not_though_there_be_room_again() -> None:
    relay = Relay()
    relay.caller_opened(received=0)
    relay.runner_opened(HELLO)
    assert relay.from_caller(said(1), KEEP_BYTES) == [ToRunner(said(1))]
    assert relay.from_caller(said(2), KEEP_BYTES) == [CallerAhead()]
    relay.from_runner(bridge.Ack(seq=1), 1)
    assert relay.from_caller(said(3), 1) == []

    relay.caller_closed()
    relay.caller_opened(received=0)
    assert relay.from_caller(said(2), KEEP_BYTES) == [ToRunner(said(2))]


def test_one_frame_of_any_length_is_taken() -> None:
    relay = Relay()
    relay.caller_opened(received=0)
    assert relay.from_caller(said(1), MIB) == []
    assert to_runner([*relay.runner_opened(HELLO)]) == [said(1)]


def test_a_caller_that_is_ahead_can_still_acknowledge_and_hang_up() -> None:
    relay = Relay()
    relay.caller_opened(received=0)
    relay.runner_opened(HELLO)
    relay.from_caller(said(1), KEEP_BYTES)
    relay.from_caller(said(2), KEEP_BYTES)
    relay.from_runner(bridge.AgentSay(text="hello", seq=1), 1)
    assert to_runner([*relay.from_caller(bridge.Ack(seq=1), 1)]) == [bridge.Ack(seq=1)]
    assert relay.from_caller(bridge.UserHangup(), 1)


def test_what_has_no_number_is_told_once_and_takes_no_room_of_an_agent_that_is_here() -> None:
    relay = Relay()
    relay.caller_opened(received=0)
    relay.from_caller(said(0, "early"), 1)
    relay.from_caller(said(1, "numbered"), 1)
    assert to_runner([*relay.runner_opened(HELLO)]) == [said(0, "early"), said(1, "numbered")]
    for _ in range(2 * KEEP_FRAMES):
        assert relay.from_caller(said(0), 1) == [ToRunner(said(0))]
    relay.runner_closed()
    again = relay.runner_opened(bridge.Hello(features=HELLO.features, resume=True))
    assert to_runner([*again]) == [said(1, "numbered")]


def test_a_number_that_was_taken_is_not_taken_again_behind_a_frame_without_one() -> None:
    relay = Relay()
    relay.caller_opened(received=0)
    for frame in (said(1), said(0), said(1)):
        relay.from_caller(frame, 1)
    assert to_runner([*relay.runner_opened(HELLO)]) == [said(1), said(0)]


def test_a_plain_agent_takes_all_that_waited_and_leaves_the_room_empty() -> None:
    relay = Relay()
    relay.caller_opened(received=0)
    relay.from_caller(said(1), KEEP_BYTES - 100)
    relay.runner_opened(PLAIN)
    assert relay.kept_for_agent.bytes == 0
    assert relay.from_caller(said(1), 1) == [ToCaller(bridge.Ack(seq=1))]


def test_whatever_an_agent_says_counts_for_the_callers_room() -> None:
    relay = Relay()
    relay.runner_opened(HELLO)
    transfer = bridge.AgentTransfer(target="x" * 100_000, mode="warm")
    for seq in range(1, 11):
        relay.from_runner(transfer.__class__(target=transfer.target, mode="warm", seq=seq), 100_100)
    kept = [o for o in relay.caller_opened(received=0) if isinstance(o, ToCaller)]
    assert len(kept) == KEEP_BYTES // 100_100
