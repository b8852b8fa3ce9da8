"""What is played on a cluster: the demo's acts, a node drain, and an operator that dies."""

import asyncio
from dataclasses import dataclass, field

from cluster_stage import ClusterStage
from promises import Verdict
from show import BURST, BURST_AT_S, KILL_AT_S, ROLL_AT_S, Act, Show
from stage import NAME

OPERATOR_AT_S, EVICT_AT_S, CORDON_AT_S, UNCORDON_AT_S = 34.0, 38.0, 56.0, 62.0


@dataclass
class ClusterShow(Show):
    """Runners are pods, and are looked at through the API server too."""

    # While the only node is cordoned; the last for a start that a runner was just offered then.
    may_refuse_for = ("no_runners", "draining", "start_timeout")

    stage: ClusterStage
    first_runner_s: float = 90.0
    settle_s: float = 300.0
    burst_hold_s: tuple[float, float] = (20.0, 28.0)
    """The killed runner's calls last until it is known to be gone: by the next of its name, which
    takes as long as a pod does to start, or after 30 s."""
    fade_callers: int = 60
    fade_s: float = 85.0
    old: set[str] = field(default_factory=set)
    """Revisions from before the roll-out."""

    def acts(self) -> list[Act]:
        return [
            (0.0, "ramp: more and more callers", None),
            (BURST_AT_S, f"burst: {BURST} callers at once", None),
            (KILL_AT_S, "the busiest runner's pod is deleted by force", self._kill),
            (ROLL_AT_S, "roll-out: a new revision", self._roll),
            (
                OPERATOR_AT_S,
                "the operator's pod is deleted by force",
                self._end_operator,
            ),
            (EVICT_AT_S, "evictions are asked for, with nobody operating", self._evict),
            (CORDON_AT_S, "node drain: the node is cordoned, its runners evicted", self._drain),
            (UNCORDON_AT_S, "the node may be used again", self._uncordon),
        ]

    async def _roll(self) -> None:
        self.old = {runner["revision"] for runner in self.pool["runners"]}
        await asyncio.to_thread(self.stage.roll_out)

    async def _end_operator(self) -> None:
        await asyncio.to_thread(self.stage.kill_operator)

    async def _evict(self) -> None:
        await asyncio.to_thread(self.stage.evict_all)

    async def _drain(self) -> None:
        await asyncio.to_thread(self.stage.cordon, on=True)
        await self._evict()

    async def _uncordon(self) -> None:
        await asyncio.to_thread(self.stage.cordon, on=False)

    async def look(self) -> None:
        pods, known, agents = await asyncio.gather(
            asyncio.to_thread(self.stage.pods),
            self.client.runners.list(NAME),
            self.client.agents.list(),
        )
        by_id = {runner.runner_id: runner for runner in known}
        runners = []
        for pod in pods:
            meta = pod["metadata"]
            runner = by_id.get(meta["name"])
            ready = runner is not None and runner.connected
            stage = "draining" if runner is not None and runner.draining else "serving"
            if "deletionTimestamp" in meta:
                stage = "terminating"
            elif not ready:
                stage = "starting"
            runners.append(
                {
                    "runner": meta["name"], "revision": meta["labels"]["paddock.dev/revision"],
                    "stage": stage, "sessions": runner.in_flight if runner else 0,
                    "capacity": runner.capacity if runner else 0,
                    "pid": pod["spec"].get("nodeName", ""),
                }
            )  # fmt: skip
        for agent in agents:
            if agent.agent == NAME:
                new = [r["revision"] for r in runners if r["revision"] not in self.old]
                serving = sum(r["stage"] == "serving" for r in runners)
                self.seen(
                    agent,
                    {"runners": runners, "ready": serving, "revision": new[0] if new else ""},
                )

    def more_verdicts(self) -> list[Verdict]:
        """What only a cluster can show."""
        asked = self.stage.evictions
        return [
            Verdict(
                "no eviction was granted while calls were live",
                bool(asked) and all(status == 429 for status in asked),
                f"{sum(status != 429 for status in asked)} granted of {len(asked)}",
            )
        ]
