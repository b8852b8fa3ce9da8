"""Per-call metrics: what `session.metrics.live()` shows."""

import math
import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars so far."""

    voice: float = 0.0
    llm: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class Tokens:
    input: int = 0
    output: int = 0


@dataclass(frozen=True, slots=True)
class CallMetrics:
    """A snapshot. P95 values are nearest rank over the turns so far, milliseconds."""

    turns: int = 0
    duration_s: float = 0.0
    stt_p95_ms: int = 0
    llm_p95_ms: int = 0
    tts_p95_ms: int = 0
    cost: Cost = field(default_factory=Cost)
    tokens: Tokens = field(default_factory=Tokens)
    active_llm: str = ""


class MetricsTracker:
    """Collects a call's figures. Durations are frozen when the call ends."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._ended: float | None = None
        self._turns = 0
        self._stt: list[float] = []
        self._llm: list[float] = []
        self._tts: list[float] = []
        self._voice_cost = 0.0

    def live(self) -> CallMetrics:
        """The figures so far; also good after the call."""
        until = self._ended if self._ended is not None else time.monotonic()
        return CallMetrics(
            turns=self._turns,
            duration_s=until - self._began,
            stt_p95_ms=p95(self._stt),
            llm_p95_ms=p95(self._llm),
            tts_p95_ms=p95(self._tts),
            cost=Cost(voice=self._voice_cost, total=self._voice_cost),
        )

    @property
    def replies_ms(self) -> tuple[float, ...]:
        """From each of the caller's turns to the first chunk of its answer."""
        return tuple(self._llm)

    def turn(self, llm_ms: float) -> None:
        """A turn was answered; its first chunk came after `llm_ms`."""
        self._turns += 1
        self._llm.append(llm_ms)

    def media(self, stt_ms: float | None, tts_ms: float | None) -> None:
        """What the media side measured for a turn."""
        if stt_ms is not None:
            self._stt.append(stt_ms)
        if tts_ms is not None:
            self._tts.append(tts_ms)

    def spent(self, dollars: float) -> None:
        """The media side's cost of the call so far."""
        self._voice_cost = dollars

    def stop(self) -> None:
        """The call is over."""
        if self._ended is None:
            self._ended = time.monotonic()


def p95(values: list[float]) -> int:
    """Nearest-rank 95th percentile; 0 without values."""
    if not values:
        return 0
    return round(sorted(values)[math.ceil(0.95 * len(values)) - 1])
