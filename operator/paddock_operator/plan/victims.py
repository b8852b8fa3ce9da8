"""Which serving runners leave first, and how many may leave without anyone missing their slots."""

from collections import defaultdict
from collections.abc import Callable, Iterable

from paddock_operator.plan.view import PoolView, RunnerView

SortKey = Callable[[RunnerView], tuple[float | str, ...]]


def free_slots(runner: RunnerView) -> int:
    """Slots it could fill now; none when nothing fresh is known or it holds more than it may."""
    booked = runner.booked
    return runner.capacity - booked if booked is not None and booked < runner.capacity else 0


def is_eligible(runner: RunnerView, idle_only: bool) -> bool:
    """Whether demand alone may take this runner away.

    Never an unknown one: unknown is neither idle nor old. Never a busy one when only idle ones
    leave, and never a busy one that cannot be told to stop taking sessions.
    """
    if runner.booked is None:
        return False
    return runner.booked == 0 or (runner.can_drain and not idle_only)


def in_victim_order(view: PoolView, candidates: Iterable[RunnerView]) -> list[RunnerView]:
    """Old revisions first, then the pool's order, and the newest first among equals.

    The newest, because the oldest is where packing puts the sessions that come next.
    """
    order, revision = _order(view), view.settings.revision
    return sorted(
        candidates, key=lambda r: (r.revision == revision, *order(r), -r.created_at, r.runner_id)
    )


def choose_victims(
    view: PoolView, candidates: Iterable[RunnerView], count: int, spare_slots: int
) -> list[RunnerView]:
    """At most `count` of the candidates, in order, each only while `spare_slots` lasts.

    `spare_slots` is what is free on all serving runners beyond the warm reserve. A victim takes
    its free slots along but not its sessions, which stay with it and ask for nothing elsewhere:
    so what serves afterwards still covers what is in flight there, and the reserve.
    """
    if count <= 0:
        return []
    victims: list[RunnerView] = []
    for runner in in_victim_order(view, candidates):
        if free_slots(runner) <= spare_slots:
            spare_slots -= free_slots(runner)
            victims.append(runner)
            if len(victims) == count:
                break
    return victims


def _order(view: PoolView) -> SortKey:
    match view.settings.order:
        case "ShortestRemaining":
            return _shortest_remaining
        case "EmptyNode":
            return _empty_node(view.runners)
        case "Newest":
            return lambda runner: ()
        case _:
            return lambda runner: (runner.booked or 0,)


def _shortest_remaining(runner: RunnerView) -> tuple[float | str, ...]:
    # How long a call still lasts is not known; the one that began first is the likeliest to end,
    # and of runners equally far along the one with fewer calls empties sooner.
    return (runner.booked != 0, -runner.oldest_session_s, runner.booked or 0)


def _empty_node(runners: Iterable[RunnerView]) -> SortKey:
    """The node with the fewest sessions first, all of its runners before the next node's.

    Every runner counts, not only those that may leave: a node full of busy ones does not empty.
    """
    held: defaultdict[str, int] = defaultdict(int)
    for runner in runners:
        held[runner.node] += runner.booked or 0
    return lambda runner: (held[runner.node], runner.node, runner.booked or 0)
