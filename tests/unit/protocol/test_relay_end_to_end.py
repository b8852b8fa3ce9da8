"""Agent and caller talk through a relay that may lose either socket, or itself, at any moment."""

from collections import deque
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from paddock.protocol import bridge, features
from paddock.protocol.stream import Incoming, Outgoing
from paddock_orchestrator.state.relay import (
    CallerAhead,
    Output,
    Relay,
    Room,
    ToCaller,
    ToRunner,
)

COUNT = st.integers(1, 5)
ROOM = Room(frames=2, bytes=400)
"""So little that callers are ahead of their agents all the time."""


def size_of(frame: Any) -> int:
    """Lengths of every kind: some frames are larger than all of the room."""
    seq: int = frame.seq
    return (seq * 37) % 500


class End:
    """One speaker: what it said, what it heard, and its present socket."""

    def __init__(self, kind: type[Any]) -> None:
        self.kind = kind
        self.outgoing: Outgoing[Any] = Outgoing()
        self.incoming = Incoming()
        self.said: list[str] = []
        self.heard: list[str] = []
        self.open = False
        self.to_relay: deque[Any] = deque()
        self.from_relay: deque[Any] = deque()

    def say(self) -> None:
        text = str(len(self.said))
        self.said.append(text)
        frame = self.outgoing.keep(self.kind(text=text, seq=self.outgoing.next()))
        if self.open:
            self.to_relay.append(frame)

    def hear(self) -> None:
        frame = self.from_relay.popleft()
        if isinstance(frame, bridge.Ack):
            self.outgoing.acknowledge(frame.seq)
            return
        if self.incoming.accept(frame.seq):
            self.heard.append(frame.text)
        self.to_relay.append(bridge.Ack(seq=self.incoming.received))

    def lose(self) -> None:
        self.open = False
        self.to_relay.clear()
        self.from_relay.clear()

    def resend(self, received: int) -> None:
        self.to_relay.extend(f for f in self.outgoing.unacknowledged() if f.seq > received)


class Conversation(RuleBasedStateMachine):
    """The agent's frames reach the caller in order and once, and the caller's the agent.

    However much the caller says: it is closed on, and may go on talking into its old socket.
    """

    def __init__(self) -> None:
        super().__init__()
        self.agent = End(bridge.AgentTextDelta)
        self.caller = End(bridge.UserText)
        self.relay = Relay(for_agent=ROOM)
        self.closing = False
        """The relay wants the caller's socket closed."""

    def carry(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, ToCaller) and self.caller.open:
                self.caller.from_relay.append(output.frame)
            elif isinstance(output, ToRunner) and self.agent.open:
                self.agent.from_relay.append(output.frame)
            elif isinstance(output, CallerAhead):
                assert self.caller.open
                self.closing = True

    @rule(count=COUNT)
    def the_agent_speaks(self, count: int) -> None:
        for _ in range(count):
            self.agent.say()

    @rule(count=COUNT)
    def the_caller_speaks(self, count: int) -> None:
        for _ in range(count):
            self.caller.say()

    @rule()
    def the_agent_connects(self) -> None:
        if self.agent.open:
            return
        self.agent.open = True
        received = self.relay.agent_received
        hello = bridge.Hello(
            features=[features.RESUME, features.CONTROLS],
            received=self.agent.incoming.received,
            resume=True,
        )
        self.carry(self.relay.runner_opened(hello))
        self.agent.resend(received)

    @rule()
    def the_caller_connects(self) -> None:
        if self.caller.open:
            return
        self.caller.open = True
        self.closing = False
        received = self.relay.caller_received
        self.carry(self.relay.caller_opened(self.caller.incoming.received))
        self.caller.outgoing.acknowledge(received)
        self.caller.resend(received)

    @rule()
    def the_agent_loses_its_socket(self) -> None:
        self.agent.lose()
        self.relay.runner_closed()

    @rule()
    def the_caller_loses_its_socket(self) -> None:
        self.caller.lose()
        self.relay.caller_closed()

    @rule()
    def the_orchestrator_is_killed(self) -> None:
        self.agent.lose()
        self.caller.lose()
        self.relay = Relay(for_agent=ROOM)

    @rule(ahead=st.integers(3, 6))
    def the_caller_talks_on_while_the_agent_catches_up(self, ahead: int) -> None:
        self.the_agent_connects()
        self.the_caller_connects()
        self.the_caller_speaks(ahead)
        self.frames_arrive(0, ahead - 1)
        self.frames_arrive(ahead, 0)
        self.frames_arrive(ahead, ahead)
        self.frames_arrive(ahead, 0)

    @rule()
    def a_caller_that_is_closed_on_comes_again(self) -> None:
        if self.closing and self.caller.open:
            self.the_caller_loses_its_socket()
            self.the_caller_connects()

    @rule(agent=st.integers(0, 4), caller=st.integers(0, 4))
    def frames_arrive(self, agent: int, caller: int) -> None:
        for _ in range(agent):
            if self.agent.to_relay:
                self.carry(self.heard_of_agent())
            if self.agent.from_relay:
                self.agent.hear()
        for _ in range(caller):
            if self.caller.to_relay:
                self.carry(self.heard_of_caller())
            if self.caller.from_relay:
                self.caller.hear()

    def heard_of_agent(self) -> list[Output]:
        frame = self.agent.to_relay.popleft()
        return self.relay.from_runner(frame, size_of(frame))

    def heard_of_caller(self) -> list[Output]:
        frame = self.caller.to_relay.popleft()
        return self.relay.from_caller(frame, size_of(frame))

    @invariant()
    def little_is_kept_for_the_agent(self) -> None:
        kept = self.relay.kept_for_agent
        assert not ROOM.is_exceeded(kept.frames, kept.bytes)

    @invariant()
    def what_is_heard_was_said_in_this_order_and_once(self) -> None:
        assert self.agent.said[: len(self.caller.heard)] == self.caller.heard
        assert self.caller.said[: len(self.agent.heard)] == self.agent.heard

    def teardown(self) -> None:
        self.the_agent_connects()
        self.the_caller_connects()
        while (
            self.closing
            or any((self.agent.to_relay, self.agent.from_relay))
            or any((self.caller.to_relay, self.caller.from_relay))
        ):
            self.frames_arrive(1, 1)
            self.a_caller_that_is_closed_on_comes_again()
        assert self.agent.said == self.caller.heard
        assert self.caller.said == self.agent.heard
        assert not len(self.agent.outgoing), "the agent keeps nothing that was heard"
        assert not len(self.caller.outgoing), "the caller keeps nothing that was heard"


Conversation.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestConversation = Conversation.TestCase
