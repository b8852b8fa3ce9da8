"""Which changes make a new revision."""

import re

import pytest

from paddock_operator.model.parse import parse_manifest
from paddock_operator.model.revision import template_revision
from unit.model.manifests import SMALLEST, changed


def revision(text: str) -> str:
    return template_revision(parse_manifest(text))


def test_a_revision_is_eight_hex_digits_and_stable() -> None:
    assert re.fullmatch("[0-9a-f]{8}", revision(SMALLEST))
    assert revision(SMALLEST) == "8891dd0d"


@pytest.mark.parametrize(
    "change",
    [
        {"spec__sessionsPerRunner": 5},
        {"spec__agentId": "sales"},
        {"spec__template__metadata": {"labels": {"a": "b"}}},
        {"spec__template__spec__nodeSelector": {"a": "b"}},
        {"spec__template__spec__containers": [{"name": "runner", "image": "example/runner:2"}]},
    ],
)
def test_what_a_runner_is_made_of_changes_it(change: dict[str, object]) -> None:
    assert revision(changed(**change)) != revision(SMALLEST)


@pytest.mark.parametrize(
    "change",
    [
        {"spec__scaling__maxRunners": 50},
        {"spec__drain__timeoutSeconds": 600},
        {"spec__agentId": "support-en"},
        {"metadata__labels": {"a": "b"}},
    ],
)
def test_everything_else_leaves_it_alone(change: dict[str, object]) -> None:
    assert revision(changed(**change)) == revision(SMALLEST)


def test_the_order_of_keys_does_not_matter() -> None:
    one = changed(spec__template__spec__nodeSelector={"a": "1", "b": "2"})
    other = one.replace("a: '1'\n        b: '2'", "b: '2'\n        a: '1'")

    assert one != other
    assert revision(one) == revision(other)
