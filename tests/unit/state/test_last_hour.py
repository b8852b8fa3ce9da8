"""The last hour's sums are those of counting it anew."""

from hypothesis import given
from hypothesis import strategies as st

from paddock_orchestrator.state.last_hour import HOUR_S, LastHour, Totals

ends = st.lists(st.tuples(st.integers(0, 2000), st.booleans(), st.integers(0, 10_000_000)))


@given(ends, st.integers(0, 9000))
def test_totals_are_those_of_the_ends_within_the_hour(
    gaps: list[tuple[int, bool, int]], later: int
) -> None:
    hour, now, kept = LastHour(), 0.0, []
    for gap_s, failed, length_ms in gaps:
        now += gap_s
        hour.add(now, failed=failed, length_ms=length_ms)
        kept.append((now, failed, length_ms))
    now += later
    within = [end for end in kept if end[0] >= now - HOUR_S]
    failures = sum(failed for _, failed, _ in within)
    mean_s = sum(ms for *_, ms in within) / len(within) / 1000.0 if within else 0.0

    assert hour.totals(now) == Totals(len(within) - failures, failures, mean_s)
    assert hour.since(now - 60.0) == sum(at >= now - 60.0 for at, *_ in kept)
