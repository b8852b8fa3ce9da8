"""The runner's barrier: book first, obey only forward, report what is true."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.protocol.barrier import Barrier, Report
from paddock.protocol.words import Mode, Refusal


def test_a_serving_runner_books() -> None:
    barrier = Barrier()
    assert barrier.book("a") is None
    assert Report(0, Mode.SERVE, 1) == barrier.report()


def test_a_draining_runner_books_nothing_new() -> None:
    barrier = Barrier()
    barrier.obey(1, Mode.DRAIN)
    assert barrier.book("a") == Refusal.DRAINING
    assert frozenset() == barrier.booked


def test_an_assignment_delivered_again_while_draining_is_still_held() -> None:
    barrier = Barrier()
    barrier.book("a")
    barrier.obey(1, Mode.DRAIN)
    assert barrier.book("a") is None
    assert Report(1, Mode.DRAIN, 1) == barrier.report()


def test_a_command_is_answered_with_what_is_held_at_its_epoch() -> None:
    barrier = Barrier()
    barrier.book("a")
    assert Report(1, Mode.DRAIN, 1) == barrier.obey(1, Mode.DRAIN)
    barrier.unbook("a")
    barrier.unbook("a")
    assert Report(1, Mode.DRAIN, 0) == barrier.obey(1, Mode.DRAIN)


def test_calling_a_drain_off_lets_the_runner_book_again() -> None:
    barrier = Barrier()
    barrier.obey(1, Mode.DRAIN)
    assert Report(2, Mode.SERVE, 0) == barrier.obey(2, Mode.SERVE)
    assert barrier.book("a") is None


@pytest.mark.parametrize(("epoch", "mode"), [(1, Mode.DRAIN), (2, Mode.SERVE), (3, Mode.SERVE)])
def test_an_older_or_contradicting_command_is_ignored(epoch: int, mode: Mode) -> None:
    barrier = Barrier(3, Mode.DRAIN)
    assert barrier.obey(epoch, mode) is None
    assert Report(3, Mode.DRAIN, 0) == barrier.report()


def test_a_restarted_container_stands_where_it_stood() -> None:
    barrier = Barrier()
    barrier.restore(3, Mode.DRAIN)
    assert barrier.book("a") == Refusal.DRAINING
    assert barrier.obey(2, Mode.SERVE) is None


def test_restoring_never_steps_back() -> None:
    barrier = Barrier(4, Mode.SERVE)
    barrier.restore(3, Mode.DRAIN)
    assert Report(4, Mode.SERVE, 0) == barrier.report()


commands = st.tuples(st.integers(0, 6), st.sampled_from(Mode))


@given(st.lists(commands))
def test_the_epoch_only_grows_and_an_answer_is_the_present_state(
    given_commands: list[tuple[int, Mode]],
) -> None:
    barrier = Barrier()
    for epoch, mode in given_commands:
        before = barrier.drain_epoch
        answer = barrier.obey(epoch, mode)
        assert barrier.drain_epoch == max(before, epoch)
        assert answer is None or answer == barrier.report() == Report(epoch, mode, 0)
