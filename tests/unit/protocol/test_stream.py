"""The two halves of a numbered stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.protocol.bridge import AgentSay
from paddock.protocol.stream import Incoming, Outgoing, Overflow


def sent(outgoing: Outgoing[AgentSay], text: str) -> AgentSay:
    return outgoing.keep(AgentSay(text=text, seq=outgoing.next()))


@given(st.lists(st.tuples(st.sampled_from(["send", "arrive", "cut", "ack"]), st.just(0))))
def test_over_sockets_that_break_every_frame_arrives_once_and_in_order(
    steps: list[tuple[str, int]],
) -> None:
    outgoing: Outgoing[AgentSay] = Outgoing()
    incoming = Incoming()
    flying: list[AgentSay] = []
    said: list[str] = []
    heard: list[str] = []

    def arrive() -> None:
        frame = flying.pop(0)
        if incoming.accept(frame.seq):
            heard.append(frame.text)

    for step, _ in steps:
        if step == "send":
            said.append(str(len(said)))
            flying.append(sent(outgoing, said[-1]))
        elif step == "arrive" and flying:
            arrive()
        elif step == "ack" and (due := incoming.ack_due()) is not None:
            outgoing.acknowledge(due)
        elif step == "cut":
            flying[:] = outgoing.unacknowledged()
        assert said[: len(heard)] == heard
    flying[:] = outgoing.unacknowledged()
    while flying:
        arrive()
    assert said == heard


def test_a_full_buffer_refuses_the_next_number() -> None:
    outgoing: Outgoing[AgentSay] = Outgoing(limit=2)
    sent(outgoing, "a")
    sent(outgoing, "b")
    with pytest.raises(Overflow):
        outgoing.next()
    outgoing.acknowledge(1)
    assert outgoing.next() == 3


def test_an_older_acknowledgement_changes_nothing() -> None:
    outgoing: Outgoing[AgentSay] = Outgoing()
    for text in "abc":
        sent(outgoing, text)
    outgoing.acknowledge(2)
    outgoing.acknowledge(1)
    assert [f.text for f in outgoing.unacknowledged()] == ["c"]
    assert len(outgoing) == 1


def test_an_unnumbered_frame_is_always_new() -> None:
    incoming = Incoming()
    assert incoming.accept(0)
    assert incoming.accept(0)


def test_acknowledgements_are_due_every_so_many_frames() -> None:
    incoming = Incoming()
    due = []
    for seq in range(1, 7):
        incoming.accept(seq)
        due.append(incoming.ack_due(3))
    assert due == [None, None, 3, None, None, 6]
