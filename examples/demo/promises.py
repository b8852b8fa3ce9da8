"""What the demo promises, and whether it held. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Evidence:
    """What was counted, by the callers and by the orchestrator."""

    cut: int
    failed: int
    failed_for: dict[str, int]
    lost: int
    on_killed_runner: int
    """Sessions the killed runner held when it was killed, by the orchestrator's records."""
    lost_elsewhere: int
    """Sessions recorded as lost on any other runner."""
    refused: int
    refused_with_429: int
    refused_without_runners: int
    """With a 503 or 504, while the show itself had left the pool without a runner that serves."""
    started: int
    peak_demand: int
    """Most sessions in flight and queued at once."""
    peak_runners: int
    max_slots: int
    max_runners: int
    runners_at_end: int
    min_runners: int
    old_revision_at_end: int


@dataclass(frozen=True)
class Verdict:
    promise: str
    held: bool
    seen: str


def verdicts(seen: Evidence) -> list[Verdict]:
    """One line for each promise."""
    return [
        Verdict(
            "no call was cut by scaling, roll-out or draining",
            seen.cut == 0,
            f"{seen.cut} cut of {seen.started}",
        ),
        Verdict(
            "calls of the killed runner are reported lost, and no others",
            seen.lost == seen.on_killed_runner > 0 and seen.lost_elsewhere == 0,
            f"{seen.lost} lost, {seen.on_killed_runner} were on the killed runner",
        ),
        Verdict(
            "no call failed for another reason",
            seen.failed == 0,
            f"{seen.failed} failed {seen.failed_for or ''}".strip(),
        ),
        Verdict(
            "the pool grew to its maximum",
            seen.peak_runners >= seen.max_runners and seen.peak_demand >= seen.max_slots - 1,
            f"{seen.peak_runners} runners, {seen.peak_demand} sessions for {seen.max_slots} slots",
        ),
        Verdict(
            "every refused start got its 429",
            seen.refused_with_429 > 0
            and seen.refused == seen.refused_with_429 + seen.refused_without_runners,
            f"{seen.refused_with_429} of {seen.refused} refused starts"
            + (
                f", {seen.refused_without_runners} a 503 or 504 while no runner could serve"
                if seen.refused_without_runners
                else ""
            ),
        ),
        Verdict(
            "the pool is back at its minimum, on the new revision",
            seen.runners_at_end == seen.min_runners and seen.old_revision_at_end == 0,
            f"{seen.runners_at_end} runner(s), {seen.old_revision_at_end} of the old revision",
        ),
    ]
