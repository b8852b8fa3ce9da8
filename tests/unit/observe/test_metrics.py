"""The operator's metrics: from passes to the text format."""

import gzip
from dataclasses import replace

import pytest
from msgspec import structs
from prometheus_client.parser import text_string_to_metric_families

from fakes.pools import NOW, TIMEOUT_S, draining, runner, starting
from paddock.exposition import written
from paddock_operator.observe.facts import PodTroubles, PoolFacts, TemplateProblem
from paddock_operator.observe.metrics import OPERATOR_METRICS, POOL_METRICS, Metrics, PoolKey
from paddock_operator.observe.scene import Scene
from paddock_operator.plan.view import DrainReason, Intent, Phase
from paddock_operator.reconcile.backend import Observed
from unit.observe.scenes import manifest, scene

KEY = PoolKey("calls", "support-en")
MANIFEST = manifest()


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = gzip.decompress(written(metrics.take())).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    pool = {"namespace": KEY.namespace, "pool": KEY.pool} if name.startswith("paddock_pool") else {}
    return samples(metrics).get((name, frozenset({**pool, **labels}.items())))


def recorded(*scenes: Scene) -> Metrics:
    metrics = Metrics(lambda: NOW + 100.0)
    for each in scenes:
        metrics.record_pass(KEY, each, MANIFEST)
    return metrics


def test_the_last_pass_is_what_is_shown() -> None:
    last = scene(
        runner("a", 3), starting("s"), draining("d", 2), target=4, queued=1,
        facts=PoolFacts(stats_time=NOW + 98.0), by_fallback=True, max_runners=7,
    )  # fmt: skip
    metrics = recorded(last)
    states = ("starting", "ready", "draining", "unknown")
    counts = [value(metrics, "paddock_pool_runners", state=state) for state in states]
    assert counts == [1, 1, 1, 0]
    assert value(metrics, "paddock_pool_sessions", state="in_flight") == 5
    assert value(metrics, "paddock_pool_sessions", state="queued") == 1
    assert value(metrics, "paddock_pool_sessions", state="free") == 1
    assert value(metrics, "paddock_pool_desired_runners") == 4
    assert value(metrics, "paddock_pool_max_runners") == 7
    assert value(metrics, "paddock_pool_stats_age_seconds") == 2
    assert value(metrics, "paddock_pool_fallback_active") == 1
    assert value(metrics, "paddock_pool_rollout_step") == 0


def test_statistics_of_a_pool_at_rest_become_younger_and_nothing_is_counted_twice() -> None:
    last = scene(runner("a"), called_off=1, facts=PoolFacts(stats_time=NOW))
    later = replace(last, facts=PoolFacts(stats_time=NOW + 90.0), at=NOW + 90.0)
    metrics = recorded(scene(runner("a")), last, later)
    assert value(metrics, "paddock_pool_stats_age_seconds") == 10
    assert value(metrics, "paddock_pool_runner_seconds_total", state="ready") == 90
    assert value(metrics, "paddock_pool_delete_conflicts_total") == 1


def test_runner_seconds_add_up() -> None:
    metrics = recorded(scene(runner("a")), scene(runner("a"), at=NOW + 7.0), scene(at=NOW + 9.0))
    assert value(metrics, "paddock_pool_runner_seconds_total", state="ready") == 9.0


def test_decisions_are_counted_by_what_made_them() -> None:
    metrics = recorded(
        scene(target=1), scene(target=3), scene(target=9, limited="AtMax"),
        scene(target=5, by_fallback=True),
    )  # fmt: skip
    name = "paddock_pool_scale_decisions_total"
    assert value(metrics, name, direction="up", reason="policy") == 1
    assert value(metrics, name, direction="up", reason="limit") == 1
    assert value(metrics, name, direction="down", reason="fallback") == 1


def test_a_start_is_measured_until_ready_and_until_used_once() -> None:
    new = runner("a", 0, created_at=NOW - 12.0, ready_at=NOW)
    metrics = recorded(
        scene(starting("a", created_at=NOW - 12.0)),
        scene(new),
        scene(structs.replace(new, booked=1), at=NOW + 8.0),
        scene(starting("a", created_at=NOW - 12.0), fresh=False),
        scene(new, at=NOW + 90.0),
    )
    name = "paddock_pool_runner_start_seconds"
    assert value(metrics, f"{name}_count", until="ready") == 1
    assert value(metrics, f"{name}_sum", until="ready") == 12.0
    assert value(metrics, f"{name}_sum", until="first_session") == 20.0


def test_drains_are_counted_by_reason_and_outcome() -> None:
    empty = draining("d", 0, reported=0, since=NOW - 50.0)
    late = draining("l", 3, DrainReason.ROLLOUT, since=NOW - 4000.0)
    metrics = recorded(scene(empty, late, runner("a")), scene(runner("a")))
    for reason, outcome in (("ScaleDown", "done"), ("Rollout", "timeout")):
        assert value(metrics, "paddock_pool_drains_total", reason=reason, outcome=outcome) == 1
    name = "paddock_pool_drain_seconds_sum"
    assert value(metrics, name, reason="ScaleDown", outcome="done") == 50.0
    assert value(metrics, "paddock_pool_sessions_lost_total", cause="drain_timeout") == 3


def test_a_drain_called_off_is_an_outcome() -> None:
    back = runner("d", 1, intent=Intent(2))
    metrics = recorded(scene(runner("a"), draining("d"), target=2), scene(runner("a"), back))
    name = "paddock_pool_drains_total"
    assert value(metrics, name, reason="ScaleDown", outcome="undrained") == 1


@pytest.mark.parametrize(("seen", "failures"), [(runner("a", 2), None), (starting("a"), 1.0)])
def test_failed_runners(seen: object, failures: float | None) -> None:
    before = scene(runner("a", 2)) if failures is None else scene(starting("a"))
    dead = Observed("a", "new", Phase.FAILED, NOW)
    metrics = recorded(before, scene(failed=[dead]))
    assert value(metrics, "paddock_pool_start_failures_total", reason="crashed") == (failures or 0)
    lost = value(metrics, "paddock_pool_sessions_lost_total", cause="runner_failed")
    assert lost == (2 if failures is None else 0)


def test_a_start_past_its_deadline_is_a_failure() -> None:
    late = starting("a", created_at=NOW - 400.0)
    metrics = recorded(scene(starting("a")), scene(late))
    assert value(metrics, "paddock_pool_start_failures_total", reason="deadline") == 1


def test_the_wait_for_capacity_is_measured_from_the_first_waiting_start() -> None:
    metrics = recorded(
        scene(), scene(queued=1, at=NOW + 1.0), scene(queued=4, at=NOW + 5.0), scene(at=NOW + 9.0)
    )
    assert value(metrics, "paddock_pool_capacity_wait_seconds_sum") == 8.0
    assert value(metrics, "paddock_pool_capacity_wait_seconds_count") == 1


def test_an_end_that_was_called_off_is_counted() -> None:
    metrics = recorded(scene(), scene(called_off=2, at=NOW + 1.0), scene(at=NOW + 2.0))
    assert value(metrics, "paddock_pool_delete_conflicts_total") == 2


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (PoolFacts(quota_message="exceeded"), "quota"),
        (PoolFacts(template_problem=TemplateProblem("Forbidden")), "forbidden"),
        (PoolFacts(template_problem=TemplateProblem("Invalid")), "other"),
    ],
)
def test_a_refusal_to_create_is_counted_once_until_it_is_over(
    facts: PoolFacts, reason: str
) -> None:
    refused = [scene(facts=facts, at=NOW + at) for at in (1.0, 2.0, 4.0)]
    metrics = recorded(scene(), refused[0], refused[1], scene(at=NOW + 3.0), refused[2])
    assert value(metrics, "paddock_pool_start_failures_total", reason=reason) == 2


def test_a_pod_that_does_not_start_is_counted_once_for_each_reason() -> None:
    def waiting(at: float, **stuck: str) -> Scene:
        facts = PoolFacts(pods=PodTroubles(stuck=stuck))
        return scene(starting("a"), starting("b"), facts=facts, at=NOW + at)

    metrics = recorded(
        waiting(0), waiting(1, a="unschedulable", b="unschedulable"), waiting(2, b="unschedulable"),
        waiting(3, a="unschedulable"), waiting(4, a="image_pull"),
    )  # fmt: skip
    name = "paddock_pool_start_failures_total"
    assert value(metrics, name, reason="unschedulable") == 2
    assert value(metrics, name, reason="image_pull") == 1


def test_the_first_deadline_counts_of_drains_that_hold_sessions() -> None:
    early, late = draining("e", 1, since=NOW - 500.0), draining("l", 1, since=NOW)
    empty = draining("o", 0, since=NOW - 900.0)
    name = "paddock_pool_drain_deadline_seconds"
    deadline = early.intent.deadline
    assert deadline is not None
    assert value(recorded(scene(early, late, empty)), name) == deadline - (NOW + 100.0)
    assert value(recorded(scene(empty)), name) is None
    whole = value(recorded(scene(early, late, empty)), "paddock_pool_drain_timeout_seconds")
    assert whole == TIMEOUT_S


def test_a_deadline_that_ends_nobody_is_not_shown() -> None:
    metrics = recorded(scene(draining("d", 1, since=NOW - 9000.0), on_timeout="Keep"))
    assert value(metrics, "paddock_pool_drain_deadline_seconds") is None
    assert value(metrics, "paddock_pool_drain_timeout_seconds") is None


def test_counters_are_there_before_the_first_event() -> None:
    """Else `increase` would not see it."""
    metrics = recorded(scene())
    for name, labels in (
        ("paddock_pool_sessions_lost_total", {"cause": "drain_timeout"}),
        ("paddock_pool_start_failures_total", {"reason": "quota"}),
        ("paddock_pool_scale_decisions_total", {"direction": "up", "reason": "policy"}),
        ("paddock_pool_drains_total", {"reason": "Rollout", "outcome": "timeout"}),
        ("paddock_pool_drains_total", {"reason": "ScaleDown", "outcome": "undrained"}),
        ("paddock_pool_drain_seconds_count", {"reason": "ScaleDown", "outcome": "done"}),
    ):
        assert value(metrics, name, **labels) == 0, name


def test_a_thousand_pools_are_not_too_much_for_who_scrapes_them() -> None:
    metrics = recorded(scene())
    of_pool = [name for name, _ in samples(metrics) if name.startswith("paddock_pool_")]
    assert len(of_pool) < 160


def test_labels_are_of_their_closed_sets_and_only_what_is_declared_is_shown() -> None:
    metrics = recorded(scene(runner("a"), draining("d", 0, reported=0)), scene(runner("a", 1)))
    metrics.record_request("dance", "floors", 200, 0.1)
    declared = {metric.name: metric for metric in (*POOL_METRICS, *OPERATOR_METRICS)}
    for name, labels in samples(metrics):
        plain = name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
        metric = declared[name if name in declared else plain]
        for label, said in labels - {("le", dict(labels).get("le", ""))}:
            words = metric.labels[label]
            assert isinstance(words, str) or said in words, (name, label, said)


def test_words_from_outside_the_closed_sets_make_no_series() -> None:
    metrics = recorded(scene())
    metrics.record_request("patch", "pods", 200, 0.1)
    metrics.record_request("patch", "agentdeployments/status", 200, 0.1)
    metrics.record_request("dance", "floors", 99999, 0.1)
    name = "paddock_operator_apiserver_requests_total"
    assert value(metrics, name, verb="patch", code="200") == 2
    seconds = "paddock_operator_apiserver_request_seconds_count"
    assert value(metrics, seconds, verb="patch", resource="agentdeployments/status") == 1
    assert value(metrics, name, verb="other", code="0") == 1


def test_a_pool_that_is_gone_leaves_no_series() -> None:
    metrics = recorded(scene(runner("a")), scene(runner("a")))
    assert b'pool="support-en"' in gzip.decompress(written(metrics.take()))
    metrics.forget(KEY)
    assert b'pool="support-en"' not in gzip.decompress(written(metrics.take()))


def test_the_operators_own() -> None:
    metrics = Metrics(lambda: NOW)
    metrics.record_reconcile(0.02)
    metrics.record_queue_depth(3)
    metrics.record_watch_lag("pods", 1.5)
    metrics.record_loop_lag(0.1)
    metrics.record_leader("voice", True)
    assert value(metrics, "paddock_operator_reconcile_seconds_count") == 1
    assert value(metrics, "paddock_operator_queue_depth") == 3
    assert value(metrics, "paddock_operator_watch_lag_seconds", resource="pods") == 1.5
    assert value(metrics, "paddock_operator_event_loop_lag_seconds") == 0.1
    assert value(metrics, "paddock_operator_leader", lease_namespace="voice") == 1
