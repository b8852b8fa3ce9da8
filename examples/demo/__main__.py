"""`make demo`: a pool on this machine through a hard minute, and whether it kept its promises."""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from paddock.client.callers import Outcome
from paddock.client.client import AsyncClient
from paddock.client.contexts import Context
from paddock.errors import PaddockError
from promises import Evidence, verdicts
from screen import drawn
from show import Show
from stage import NAME, Stage, StageFailed, stage

console = Console()


def main() -> int:
    """0 when every promise held, 1 when one did not, 2 when the demo could not be played."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the pool up afterwards")
    parser.add_argument("--cluster", action="store_true", help="on a throw-away Kubernetes")
    options = parser.parse_args()
    if options.cluster:
        return _on_a_cluster()
    keep = options.keep
    console.print("starting an orchestrator and a pool of runner processes ...")
    try:
        with stage(keep=keep) as ready:
            held = asyncio.run(_play(ready.context, lambda c: Show(ready, c, _say)))
            if keep:
                _what_next(ready)
    except (StageFailed, PaddockError) as why:
        console.print(f"the demo could not be played: {why}", style="red", markup=False)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0 if held else 1


def _on_a_cluster() -> int:
    from cluster_show import ClusterShow
    from cluster_stage import cluster_stage

    try:
        with cluster_stage(_say) as ready:
            try:
                held = asyncio.run(_play(ready.context, lambda c: ClusterShow(ready, c, _say)))
            finally:
                _say(ready.last_words())
    except (StageFailed, PaddockError, OSError, RuntimeError) as why:
        console.print(f"the demo could not be played: {why}", style="red", markup=False)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0 if held else 1


async def _play(context: Context, make: Callable[[AsyncClient], Show]) -> bool:
    async with AsyncClient(context.private_key, context.url, retries=0) as client:
        show = make(client)
        async with drawn(show, console):
            await show.perform()
        evidence = await _evidence(show)
        for outcome in show.failures:
            await _tell_of(show.client, outcome)
    return _report(show, evidence)


def _say(text: str) -> None:
    console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)


async def _tell_of(client: AsyncClient, failed: Outcome) -> None:
    """What the caller saw of a call that failed, and what the orchestrator knows of it."""
    known: object = "nothing"
    if failed.session_id:
        with contextlib.suppress(PaddockError):
            known = await client.sessions.get(failed.session_id)
    _say(f"a call failed: {failed.reason}; recorded: {known}")


async def _evidence(show: Show) -> Evidence:
    page = await show.client.sessions.list(agent=NAME, state="ended", limit=500)
    lost = [session for session in page.sessions if session.end_reason == "runner_lost"]
    tally, view = show.tally, show.pool["view"]
    refused_for: Mapping[str, int] = tally.reasons.get("refused", {})
    runners = show.pool["runners"]
    revision = show.pool["revision"]
    return Evidence(
        cut=tally.cut,
        failed=tally.failed,
        failed_for=dict(tally.reasons.get("failed", {})),
        lost=tally.lost,
        on_killed_runner=sum(s.runner == show.killed for s in lost),
        lost_elsewhere=sum(s.runner != show.killed for s in lost),
        refused=tally.refused,
        refused_with_429=tally.refused_429,
        refused_without_runners=sum(refused_for.get(reason, 0) for reason in show.may_refuse_for),
        started=tally.started,
        peak_demand=show.peak_demand,
        peak_runners=show.peak_runners,
        max_slots=view.max_slots,
        max_runners=5,
        runners_at_end=len(runners),
        min_runners=1,
        old_revision_at_end=sum(r["revision"] != revision for r in runners),
    )


def _report(show: Show, evidence: Evidence) -> bool:
    summary = show.tally.summary()
    figures = Table(title="what the callers saw", title_justify="left")
    for column in (
        "offered",
        "started",
        "at once",
        "waited",
        "refused",
        "lost",
        "cut",
        "first word",
    ):
        figures.add_column(column, justify="right")
    first = summary["first_word_ms"]
    figures.add_row(
        str(summary["offered"]), str(summary["started"]), str(summary["answered_at_once"]),
        str(summary["waited"]), str(summary["refused"]), str(summary["lost"]),
        str(summary["cut"]),
        " ".join(f"{name} {ms:.0f}" for name, ms in first.items()) + " ms",
    )  # fmt: skip
    console.print(figures)
    result = [*verdicts(evidence), *show.more_verdicts()]
    for verdict in result:
        mark = "[green]kept  [/green]" if verdict.held else "[red]BROKEN[/red]"
        console.print(f"{mark} {verdict.promise}: {verdict.seen}", highlight=False)
    return all(v.held for v in result)


def _what_next(ready: Stage) -> None:
    paddock = str(Path(sys.executable).with_name("paddock"))
    names = ("PADDOCK_HOME", "PADDOCK_CONTEXTS")
    exports = "export " + " ".join(f"{name}={ready.env[name]}" for name in names)
    console.print("\nThe pool is still up. In this or another terminal:", highlight=False)
    for line in (
        exports,
        "paddock top",
        f"paddock call {NAME}",
        f"paddock load {NAME} --profile burst",
        f"paddock logs {NAME} -f",
        f"paddock down {NAME}",
    ):
        command = line.replace("paddock", paddock, 1) if line.startswith("paddock") else line
        console.print(f"  {command}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
