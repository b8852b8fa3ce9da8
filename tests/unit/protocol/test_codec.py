"""Whatever arrives is a frame, an unknown one, or an error that says what to mend."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.protocol import bridge, control
from paddock.protocol.codec import MAX_FRAME_BYTES, Direction, ProtocolError, Unknown, encode

DIRECTIONS: dict[str, Direction[Any]] = {
    "control from runner": control.from_runner,
    "control to runner": control.to_runner,
    "bridge from runner": bridge.from_runner,
    "bridge to runner": bridge.to_runner,
    "text from caller": bridge.from_caller,
    "text to caller": bridge.to_caller,
}
VALID: list[msgspec.Struct] = [
    control.Register(
        worker_id="a",
        pool="desk",
        capabilities=control.Capabilities(max_concurrent=1, agent_id="desk"),
        sessions=[control.HeldSession(session_id="s", attempt=1, state="active")],  # type: ignore[arg-type]
    ),
    control.Heartbeat(active_jobs=1),
    control.JobAck(job_id="s.1", accepted=True),
    control.SessionEvent(seq=1, session_id="s", attempt=1, kind="ended", at_ms=1),
    control.DrainReport(drain_epoch=1, mode="drain", booked=0),  # type: ignore[arg-type]
    control.Welcomed(heartbeat_interval_s=5),
    control.JobAssign(job_id="s.1", call_id="s", agent_id="desk", bridge_url="u", call_token="t"),
    control.Verb(verb_id="v", session_id="s", name="end"),
    bridge.Hello(features=["resume"]),
    bridge.AgentSay(text="hi", seq=1),
    bridge.AgentRecording(action="pause"),
    bridge.CallStarted(session_id="s", job_id="j", room_id="r", metadata={"data": {}}),
    bridge.UserText(text="hi", extra={"language": "en"}),
    bridge.Metric(ttfa_ms=3),
    bridge.Ready(session_id="s", agent="desk", state="active", received=0),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def outcome(direction: Direction[Any], message: str | bytes) -> object:
    """The frame or the error; anything else that is raised fails the test."""
    try:
        frame = direction.parse(message)
    except ProtocolError as why:
        refusal = why
    else:
        assert isinstance(frame, msgspec.Struct)
        return frame
    assert refusal.expected
    assert len(str(refusal)) < 400
    return refusal


@given(st.sampled_from(sorted(DIRECTIONS)), st.binary(max_size=200) | st.text(max_size=200))
def test_any_message_gives_a_frame_or_an_explained_refusal(name: str, message: str | bytes) -> None:
    outcome(DIRECTIONS[name], message)


@given(st.sampled_from(sorted(DIRECTIONS)), JSON)
def test_any_json_gives_a_frame_or_an_explained_refusal(name: str, value: object) -> None:
    outcome(DIRECTIONS[name], msgspec.json.encode(value))


@settings(max_examples=400)
@given(st.sampled_from(VALID), st.data())
def test_a_frame_with_one_value_replaced_is_read_or_its_field_is_named(
    frame: msgspec.Struct, data: st.DataObject
) -> None:
    raw: dict[str, Any] = msgspec.json.decode(encode(frame))
    path: list[str] = []
    holder: Any = raw
    while True:
        key = data.draw(st.sampled_from(sorted(holder)))
        path.append(key)
        if isinstance(holder[key], dict) and holder[key] and data.draw(st.booleans()):
            holder = holder[key]
            continue
        break
    holder[path[-1]] = data.draw(JSON)
    message = msgspec.json.encode(raw)
    for direction in DIRECTIONS.values():
        found = outcome(direction, message)
        if isinstance(found, ProtocolError):
            assert found.field.split(".")[0].split("[")[0] in (path[0], "", "type", "event")


@settings(max_examples=300)
@given(st.sampled_from(VALID), st.data())
def test_a_mangled_frame_breaks_nothing(frame: msgspec.Struct, data: st.DataObject) -> None:
    message = bytearray(encode(frame).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(message) - 1))
        message[at] = data.draw(st.integers(0, 255))
    for direction in DIRECTIONS.values():
        outcome(direction, bytes(message))


@pytest.mark.parametrize("frame", VALID, ids=lambda f: type(f).__name__)
def test_a_frame_is_read_as_it_was_written(frame: msgspec.Struct) -> None:
    message = encode(frame)
    assert frame in [outcome(d, message) for d in DIRECTIONS.values()]


def refusal(direction: Direction[Any], text: str | bytes) -> str:
    with pytest.raises(ProtocolError) as caught:
        direction.parse(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"type":"heartbeat","active_jobs":"2"}', "active_jobs: got '2', expected an integer"),
        ('{"type":"heartbeat"}', "active_jobs: got None, expected a value: the field is required"),
        (
            (
                '{"type":"register","worker_id":"a","pool":"p",'
                '"capabilities":{"max_concurrent":1.5,"agent_id":"p"}}'
            ),
            "capabilities.max_concurrent: got 1.5, expected an integer",
        ),
        (
            '{"type":"drain.report","drain_epoch":1,"mode":"off","booked":0}',
            "mode: got 'off', expected one of 'serve', 'drain'",
        ),
        (
            '{"type":"session.event","seq":1,"session_id":"s","attempt":1,"kind":"gone","at_ms":0}',
            "kind: got 'gone', expected one of 'active', 'ended', 'ending'",
        ),
        (
            '{"type":"job.ack","job_id":7,"accepted":true}',
            "job_id: got 7, expected a string",
        ),
        (
            '{"type":"job.ack","job_id":"j","accepted":1}',
            "accepted: got 1, expected true or false",
        ),
        (
            '{"type":"job.ack","job_id":"j","accepted":true,"reason":5}',
            "reason: got 5, expected a string or null",
        ),
        ("[1]", "frame: got [1], expected one JSON object"),
        ("nonsense", "frame: got 'nonsense', expected one JSON object"),
        ("{}", "type: got None, expected a frame name (string)"),
    ],
)
def test_a_refusal_names_the_field_its_value_and_what_is_expected(text: str, said: str) -> None:
    assert said == refusal(control.from_runner, text)


def test_an_unknown_frame_is_no_error() -> None:
    assert Unknown("weather") == control.from_runner.parse('{"type":"weather","rain":1}')


def test_a_frame_that_is_too_long_is_refused_by_its_size() -> None:
    text = "x" * (MAX_FRAME_BYTES + 1)
    assert f"expected at most {MAX_FRAME_BYTES} bytes" in refusal(control.from_runner, text)


def test_nesting_without_end_is_refused() -> None:
    assert "one JSON object" in refusal(control.from_runner, '{"type":' + "[" * 100_000)
