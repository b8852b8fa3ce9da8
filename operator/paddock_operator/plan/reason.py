"""A plan in one sentence, and the instant at which time alone changes it."""

from collections import Counter
from collections.abc import Iterator

from paddock_operator.plan.actions import CancelStart, Commit, Forget, WriteIntent
from paddock_operator.plan.drain import DEADLINE_SLACK_S, SETTLE_S
from paddock_operator.plan.roster import Roster


def say(roster: Roster, target: int, why: str) -> str:
    """What is done toward which target, what stands in the way, and why the target is that."""
    deeds = list(_deeds(roster))
    head = f"{_join(deeds)} toward {target}" if deeds else f"hold {target}"
    runners = "runner" if target == 1 else "runners"
    obstacle = _obstacle(roster, target)
    sentence = f"{head} {runners}{', ' + obstacle if obstacle else ''}"
    return f"{sentence[0].upper()}{sentence[1:]}: {why}" if why else sentence.capitalize()


def next_at(roster: Roster, other: float | None) -> float | None:
    """The earliest future instant at which planning again may differ with the view unchanged."""
    times = [at for at in _instants(roster) if at > roster.now]
    if other is not None:
        times.append(other)
    return min(times, default=None)


def _deeds(roster: Roster) -> Iterator[str]:
    done = Counter(map(type, roster.actions))
    undrained = done[WriteIntent] - sum(roster.drains.values())
    if undrained:
        yield f"un-drain {undrained}"
    if roster.created:
        yield f"create {roster.created}"
    for reason, count in roster.drains.items():
        yield f"drain {count} ({reason})"
    for verb, kind in (("cancel", CancelStart), ("end", Commit), ("forget", Forget)):
        if done[kind]:
            yield f"{verb} {done[kind]}"


def _join(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _obstacle(roster: Roster, target: int) -> str:
    view, settings = roster.view, roster.settings
    have = len(roster.serving) + roster.starts
    if have < target and not view.deleting:
        missing = f"{target - have} short because"
        if roster.now < view.may_create_at:
            return f"{missing} starts failed and back off"
        if roster.starts >= settings.max_starting:
            return f"{missing} {roster.starts} are starting already"
        if roster.total >= settings.max_runners:
            return f"{missing} the maximum is reached"
        return f"{missing} statistics are missing"
    if len(roster.serving) > target:
        extra = f"keeping {len(roster.serving) - target} more because"
        if not view.fresh:
            return f"{extra} statistics are stale"
        if view.queued:
            return f"{extra} starts are waiting"
        if settings.paused != "None":
            return f"{extra} scaling is paused"
        return f"{extra} their slots or calls are still needed"
    return ""


def _instants(roster: Roster) -> Iterator[float]:
    settings, view, now = roster.settings, roster.view, roster.now
    if roster.drains:
        yield now + SETTLE_S
    ends_at_deadline = settings.on_timeout == "Terminate"
    if roster.drains and ends_at_deadline:
        yield now + settings.drain_timeout_s + DEADLINE_SLACK_S
    for runner in roster.draining.values():
        intent = runner.intent
        if intent.deadline is not None and ends_at_deadline:
            yield intent.deadline + DEADLINE_SLACK_S
        if intent.since is not None and not runner.can_drain:
            yield intent.since + SETTLE_S
    for runner in roster.starting.values():
        yield runner.start_began_at + settings.start_deadline_s
    for runner in roster.unknown.values():
        if runner.silent_since is not None:
            yield runner.silent_since + settings.start_deadline_s
    yield view.may_create_at
