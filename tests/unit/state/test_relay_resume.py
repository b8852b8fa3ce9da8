"""What a relay that was just made knows from its ends."""

from paddock.protocol import bridge, features
from paddock_orchestrator.state.relay import Relay, ToCaller, ToRunner

HELLO = bridge.Hello(features=[features.RESUME, features.CONTROLS], resume=True)


def test_a_caller_that_is_back_first_hears_nothing_again_and_the_agent_is_acknowledged() -> None:
    relay = Relay()
    relay.caller_opened(received=3)

    opened = relay.runner_opened(HELLO)
    again = relay.from_runner(bridge.AgentSay(text="heard before", seq=3), 1)
    new = relay.from_runner(bridge.AgentSay(text="new", seq=4), 1)

    assert ToRunner(bridge.Ack(seq=3)) in opened
    assert not [o for o in again if isinstance(o, ToCaller)]
    assert ToCaller(bridge.AgentSay(text="new", seq=4)) in new
