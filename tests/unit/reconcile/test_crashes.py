"""How long a replacement waits."""

from paddock_operator.reconcile.crashes import CrashBackoff


def test_failed_starts_double_the_wait_up_to_the_ceiling() -> None:
    backoff = CrashBackoff(10.0, 60.0)
    waits = []
    for n in range(5):
        backoff.failed(1000.0 * n, lived_s=0.0)
        waits.append(backoff.may_create_at - 1000.0 * n)

    assert waits == [10.0, 20.0, 40.0, 60.0, 60.0]


def test_a_runner_that_had_served_is_replaced_at_once() -> None:
    backoff = CrashBackoff(10.0, 60.0)
    backoff.failed(100.0, lived_s=3600.0)

    assert backoff.may_create_at <= 100.0


def test_a_successful_start_forgives() -> None:
    backoff = CrashBackoff(10.0, 60.0)
    backoff.failed(0.0, lived_s=0.0)
    backoff.failed(10.0, lived_s=0.0)
    backoff.became_ready()
    backoff.failed(100.0, lived_s=0.0)

    assert backoff.may_create_at == 110.0
