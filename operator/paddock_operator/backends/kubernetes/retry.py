"""When a request is sent again, and after how long. Pure."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from paddock_operator.backends.kubernetes.errors import (
    NOT_CONNECTED,
    KubeError,
    ServerUnavailable,
    TooManyRequests,
)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubling with jitter: after the n-th failure between half and all of first·2ⁿ⁻¹, capped."""

    first_s: float = 0.1
    most_s: float = 5.0
    jitter: Callable[[], float] = random.random

    def after(self, failures: int) -> float:
        whole = min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 30))
        return whole * (0.5 + 0.5 * self.jitter())


@dataclass(frozen=True, slots=True)
class Retries:
    """How long one request is tried altogether."""

    backoff: Backoff = Backoff()
    give_up_after_s: float = 30.0

    def delay(
        self, error: KubeError, *, failures: int, elapsed_s: float, repeatable: bool
    ) -> float | None:
        """Seconds until the next attempt, or None to give up.

        `repeatable` says that doing the request twice is the same as once. What the server shed or
        never received is sent again anyway. The server's own Retry-After is a floor.
        """
        match error:
            case TooManyRequests():
                again = not error.protected
            case ServerUnavailable():
                again = repeatable or error.reason == NOT_CONNECTED
            case _:
                again = False
        if not again:
            return None
        wait_s = (error.retry_after_s or 0.0) + self.backoff.after(failures)
        return wait_s if elapsed_s + wait_s < self.give_up_after_s else None
