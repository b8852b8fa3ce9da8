"""Cutting a stream into events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock_operator.backends.kubernetes.errors import Gone, ServerUnavailable
from paddock_operator.backends.kubernetes.watching import Lines, WatchEvent, event_of


@given(st.lists(st.binary(min_size=1).filter(lambda b: b.strip() and b"\n" not in b)), st.data())
def test_lines_come_out_whole_however_they_arrive(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    cutter = Lines()

    assert [line for chunk in chunks for line in cutter.feed(chunk)] == lines


def test_half_a_line_is_no_event() -> None:
    assert list(Lines().feed(b'{"type":"ADD')) == []


def test_an_event_has_a_type_and_an_object() -> None:
    event = event_of(b'{"type":"ADDED","object":{"metadata":{}}}')

    assert event == WatchEvent("ADDED", {"metadata": {}})


def test_an_error_in_the_stream_is_raised() -> None:
    with pytest.raises(Gone):
        event_of(b'{"type":"ERROR","object":{"code":410,"reason":"Expired","message":"too old"}}')


@pytest.mark.parametrize("line", [b"[]", b"{}", b"<html>", b'{"type":1}'])
def test_nonsense_in_the_stream_breaks_it(line: bytes) -> None:
    with pytest.raises(ServerUnavailable):
        event_of(line)
