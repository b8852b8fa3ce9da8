"""An intent as annotations, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.protocol.words import Mode
from paddock_operator.backends.kubernetes.intents import UNREADABLE, intent_annotations, intent_of
from paddock_operator.plan.view import DrainReason, Intent

_TIMES = st.none() | st.floats(0, 1e11)
_INTENTS = st.builds(
    Intent, drain_epoch=st.integers(0, 2**53), mode=st.sampled_from(Mode),
    reason=st.none() | st.sampled_from(DrainReason), since=_TIMES, deadline=_TIMES,
)  # fmt: skip


@given(_INTENTS)
def test_what_is_written_is_read(intent: Intent) -> None:
    written = {k: v for k, v in intent_annotations(intent).items() if v is not None}

    assert intent_of(written) == intent


@pytest.mark.parametrize(
    "note",
    [
        {"drain-epoch": "x"}, {"mode": "nap"}, {"reason": "Whim"}, {"deadline": "soon"},
        {"deadline": "inf"}, {"since": "nan"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_unreadable(note: dict[str, str]) -> None:
    notes = {"drain-epoch": "1", **note}

    assert intent_of({f"paddock.dev/{k}": v for k, v in notes.items()}) == UNREADABLE
