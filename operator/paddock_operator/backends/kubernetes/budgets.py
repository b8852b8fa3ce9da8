"""Disruption budgets: ours, which must be there, and others', which must not select the same pods.

An eviction of a pod that two budgets select fails with an error that nobody waits out, so that a
node drain hangs instead of being told to come back.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from paddock_operator.backends.kubernetes.informer import Informer, Source
from paddock_operator.backends.kubernetes.mirror import Key
from paddock_operator.backends.kubernetes.owned import HOLD_SELECTOR, MORE_THAN_ANY
from paddock_operator.backends.kubernetes.words import HOLD_BUDGET

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term of a label selector."""

    key: str
    operator: str
    """In | NotIn | Exists | DoesNotExist"""
    values: frozenset[str] = frozenset()

    def holds(self, labels: Labels) -> bool:
        """As an API server judges it: a label that is not there is in no set."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value in self.values
            case "NotIn":
                return value not in self.values
            case "Exists":
                return value is not None
            case _:
                return value is None


@dataclass(frozen=True, slots=True)
class Budget:
    """What is kept of a budget. `selector` None selects nothing, an empty one everything."""

    selector: tuple[Requirement, ...] | None
    holds: bool
    """It refuses every eviction of the runners, as ours has to."""

    def selects(self, labels: Labels) -> bool:
        if self.selector is None:
            return False
        return all(requirement.holds(labels) for requirement in self.selector)


class Budgets:
    """All budgets that the operator can see."""

    def __init__(self, client: Source, path: str, changed: Callable[[str], None]) -> None:
        """`changed(namespace)` is called when a budget there came, went or became another."""
        self._changed = changed
        self.informer: Informer[Budget] = Informer(
            client, path, "", budget_of, on_change=self._on_change
        )

    def holds(self, namespace: str) -> bool:
        """Ours is there and says what it has to."""
        ours = self.informer.store.get(Key(namespace, HOLD_BUDGET))
        return ours is not None and ours.holds

    def overlapping(self, namespace: str, labels: Labels) -> str:
        """The name of another budget that selects pods with these labels; "" if there is none."""
        names = (
            key.name
            for key, budget in self.informer.store.items()
            if key.namespace == namespace and key.name != HOLD_BUDGET and budget.selects(labels)
        )
        return min(names, default="")

    def _on_change(self, key: Key, old: Budget | None, new: Budget | None) -> None:
        self._changed(key.namespace)


def budget_of(item: Mapping[str, Any]) -> Budget:
    """A PodDisruptionBudget, reduced."""
    spec = item.get("spec") or {}
    ours = spec.get("minAvailable") == MORE_THAN_ANY and spec.get("selector") == HOLD_SELECTOR
    return Budget(_selector(spec.get("selector")), ours)


def _selector(written: Mapping[str, Any] | None) -> tuple[Requirement, ...] | None:
    if written is None:
        return None
    equal = (
        Requirement(key, "In", frozenset({value}))
        for key, value in (written.get("matchLabels") or {}).items()
    )
    others = (
        Requirement(term["key"], term["operator"], frozenset(term.get("values") or ()))
        for term in written.get("matchExpressions") or ()
    )
    return (*equal, *others)
