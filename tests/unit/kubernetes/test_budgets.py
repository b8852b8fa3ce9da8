"""Disruption budgets as an API server reads them."""

from typing import Any

import pytest

from paddock_operator.backends.kubernetes.budgets import budget_of
from paddock_operator.backends.kubernetes.owned import HOLD_SELECTOR, MORE_THAN_ANY

LABELS = {"app": "voice", "tier": "runner", "paddock.dev/hold": "true"}


def term(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "voice"}}, True),
        ({"matchLabels": {"app": "voice", "tier": "web"}}, False),
        (term("app", "In", "voice", "web"), True),
        (term("app", "In", "web"), False),
        (term("gone", "In", "voice"), False),
        (term("app", "NotIn", "voice"), False),
        (term("gone", "NotIn", "voice"), True),
        (term("app", "Exists"), True),
        (term("gone", "Exists"), False),
        (term("app", "DoesNotExist"), False),
        (term("gone", "DoesNotExist"), True),
        ({"matchLabels": {"app": "voice"}, **term("tier", "NotIn", "runner")}, False),
    ],
)
def test_a_budget_selects_what_its_selector_says(
    selector: dict[str, Any] | None, selected: bool
) -> None:
    assert budget_of({"spec": {"selector": selector}}).selects(LABELS) is selected


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, True),
        ({"minAvailable": 1}, False),
        ({"minAvailable": None, "maxUnavailable": 1}, False),
        ({"selector": {}}, False),
    ],
)
def test_only_a_budget_that_never_lets_go_holds(changes: dict[str, Any], holds: bool) -> None:
    spec = {"minAvailable": MORE_THAN_ANY, "selector": HOLD_SELECTOR, **changes}
    assert budget_of({"spec": spec}).holds is holds
