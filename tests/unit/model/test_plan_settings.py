"""The numbers a planner gets from a manifest."""

from paddock_operator.model.parse import parse_manifest
from paddock_operator.plan.settings import plan_settings
from unit.model.manifests import SMALLEST, changed


def test_percentages_round_up_to_at_least_one() -> None:
    manifest = parse_manifest(SMALLEST)

    assert plan_settings(manifest, "r", serving_and_starting=0).max_draining == 1
    assert plan_settings(manifest, "r", serving_and_starting=5).max_surge == 2
    assert plan_settings(manifest, "r", serving_and_starting=8).max_draining == 2


def test_only_buffer_may_drain_busy_runners() -> None:
    buffer = parse_manifest(changed(spec__scaling__policy="Buffer"))

    assert plan_settings(parse_manifest(SMALLEST), "r", serving_and_starting=1).idle_only
    assert not plan_settings(buffer, "r", serving_and_starting=1).idle_only


def test_a_share_of_warm_sessions_grows_with_the_demand() -> None:
    manifest = parse_manifest(changed(spec__scaling__warmSessions="25%"))

    assert plan_settings(manifest, "r", serving_and_starting=9, demand=30).warm_sessions == 10


def test_the_revision_and_the_words_are_passed_on() -> None:
    manifest = parse_manifest(
        changed(spec__paused="ScaleDown", spec__drain={"undrain": "Never", "onTimeout": "Keep"})
    )

    settings = plan_settings(manifest, "abc", serving_and_starting=1)

    assert (settings.revision, settings.paused, settings.on_timeout) == ("abc", "ScaleDown", "Keep")
    assert not settings.undrain
    assert settings.undrain_old_revision


def test_a_paused_rollout_reaches_the_planner() -> None:
    manifest = parse_manifest(changed(spec__rollout__type="Paused"))

    assert plan_settings(manifest, "r", serving_and_starting=1).rollout == "Paused"


def test_a_size_set_by_hand_has_no_reserve_beside_it() -> None:
    manifest = parse_manifest(changed(spec__scaling__warmSessions=3, spec__replicas=1))
    assert plan_settings(manifest, "r", serving_and_starting=2).warm_sessions == 0
