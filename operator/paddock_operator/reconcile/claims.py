"""Which pool has an agent that several of them claim: the oldest one. Pure.

Two that declare the same agent would each undo what the other does.
"""

from collections.abc import Set as AbstractSet
from typing import NamedTuple

Pool = tuple[str, str]
"""Namespace and name."""


class Claim(NamedTuple):
    """What a pool says of itself."""

    agent: tuple[str, str, str]
    """Namespace and name of its connection, and the agent's id."""
    created: str
    """When, as an API server writes it, which sorts."""


class Claims:
    """Invariant: `_of` has just the pools of `_claims`, by their agents."""

    def __init__(self) -> None:
        self._claims: dict[Pool, Claim] = {}
        self._of: dict[tuple[str, str, str], set[Pool]] = {}

    def claim(self, pool: Pool, claim: Claim) -> AbstractSet[Pool]:
        """Instead of what it claimed before; the other pools that this may matter to."""
        if self._claims.get(pool) == claim:
            return frozenset()
        others = set(self.release(pool))
        self._claims[pool] = claim
        rivals = self._of.setdefault(claim.agent, set())
        others |= rivals
        rivals.add(pool)
        return others

    def release(self, pool: Pool) -> AbstractSet[Pool]:
        """It claims nothing any more; the other pools that this may matter to."""
        claim = self._claims.pop(pool, None)
        if claim is None:
            return frozenset()
        rivals = self._of[claim.agent]
        rivals.discard(pool)
        if not rivals:
            del self._of[claim.agent]
        return frozenset(rivals)

    def rival(self, pool: Pool) -> Pool | None:
        """The other pool that has its agent; None: it has it itself, or claims none."""
        claim = self._claims.get(pool)
        if claim is None:
            return None
        first = min(self._of[claim.agent], key=lambda each: (self._claims[each].created, each))
        return None if first == pool else first
