"""What the feed believes, and when."""

from typing import Any

from paddock_operator.signals.feed import IMPLAUSIBLE_LINES, Feed


def _runner(name: str, *, connected: bool = True, booked: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "runner_id": name, "agent": "a", "instance": "i", "revision": "r", "connected": connected,
        "suspect": False, "draining": False, "can_drain": True, "capacity": 4,
        "in_flight": booked, "drain_epoch": 0, "report": None, "startup_ms": 100,
        "registered_ms": 1000, "oldest_session_ms": None, **more,
    }  # fmt: skip


def _pool(**more: Any) -> dict[str, Any]:
    return {
        "agent": "a", "queued": 0, "arrivals": 0, "completions": 0, "answered": 0, "late": 0,
        "startups_ms": [], **more,
    }  # fmt: skip


def _line(boot: str = "b1", seq: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "boot": boot, "seq": seq, "recovering": False, "pools": [], "runners": [], "gone": [],
        **more,
    }  # fmt: skip


def _feed() -> Feed:
    return Feed("a", 15.0)


def test_a_feed_that_was_never_heard_is_not_fresh() -> None:
    assert not _feed().fresh(0.0)


def test_silence_makes_a_feed_stale() -> None:
    feed = _feed()
    feed.hear(_line(), 0.0)

    assert feed.fresh(15.0)
    assert not feed.fresh(15.1)


def test_a_delta_leaves_what_it_does_not_name() -> None:
    feed = _feed()
    feed.hear(_line(runners=[_runner("x", booked=1), _runner("y")]), 0.0)
    feed.hear(_line(seq=2, runners=[_runner("y", booked=3)], gone=["z"]), 1.0)

    assert {n: r.booked for n, r in feed.runners.items()} == {"x": 1, "y": 3}


def test_another_agents_runners_are_not_ours() -> None:
    feed = _feed()
    feed.hear(_line(runners=[_runner("x", agent="b")]), 0.0)

    assert feed.runners == {}


def test_counts_are_differences_and_survive_a_counter_reset() -> None:
    feed = _feed()
    feed.hear(_line(pools=[_pool(arrivals=5, startups_ms=[(1, 900)])]), 0.0)

    first = feed.take()
    assert (first.arrivals, first.startup_times_s) == (5, (0.9,))
    assert feed.take().arrivals == 0
    feed.hear(_line("b2", pools=[_pool(arrivals=2, startups_ms=[(1, 700)])]), 1.0)
    second = feed.take()
    assert (second.arrivals, second.startup_times_s) == (2, (0.7,))


def test_a_restarted_orchestrator_is_doubted_until_the_runners_are_back() -> None:
    feed = _feed()
    feed.hear(_line(runners=[_runner("x", booked=2)]), 0.0)

    feed.hear(_line("b2"), 1.0)
    assert not feed.fresh(1.0)
    feed.hear(_line("b2", 2, runners=[_runner("x", booked=2)]), 2.0)
    assert feed.fresh(2.0)


def test_doubt_ends_by_itself_when_a_runner_never_comes_back() -> None:
    feed = _feed()
    feed.hear(_line(runners=[_runner("x")]), 0.0)
    believed = []
    for n in range(1, IMPLAUSIBLE_LINES + 1):
        feed.hear(_line("b2", n), float(n))
        believed.append(feed.fresh(float(n)))

    assert believed == [False] * (IMPLAUSIBLE_LINES - 1) + [True]


def test_a_recovering_orchestrator_is_not_believed() -> None:
    feed = _feed()
    feed.hear(_line(recovering=True), 0.0)

    assert not feed.fresh(0.0)


def test_a_serve_report_never_reads_as_an_empty_drain() -> None:
    feed = _feed()
    feed.hear(_line(runners=[_runner("x", report=[3, "serve", 0])]), 0.0)

    report = feed.runners["x"].report
    assert report is not None
    assert report.booked > 0
