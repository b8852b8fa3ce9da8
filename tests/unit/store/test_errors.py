"""The store's errors."""

from paddock_orchestrator.store.errors import (
    DuplicateKey,
    RecordRejected,
    StoreClosed,
    StoreUnavailable,
)


def test_message_has_what_expected_and_fix() -> None:
    error = StoreUnavailable("it is full", expected="room", fix="free some")
    assert str(error) == "it is full; expected: room; fix: free some"


def test_only_the_environment_is_worth_a_retry() -> None:
    assert StoreUnavailable.retryable
    assert not StoreClosed.retryable
    assert not RecordRejected.retryable
    assert issubclass(DuplicateKey, RecordRejected)
