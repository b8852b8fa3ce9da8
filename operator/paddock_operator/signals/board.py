"""One stream of statistics for the pools of an orchestrator: each gets its own part. Sans-I/O.

The stream tells everything once and then what changes. Who comes later must not take what it was
not told for what is not there, so what was told is kept, and a new listener's first line is all of
it.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

Hear = Callable[[dict[str, Any]], None]


class StatisticsBoard:
    """Listeners by agent. Every line reaches every listener, if only to say that all is as it was.

    Invariant: `_pools` and `_runners` are what the stream has told since its last beginning.
    """

    def __init__(self) -> None:
        self._listeners: dict[str, dict[Hear, bool]] = {}
        """By agent, each with whether it has heard of it."""
        self._pools: dict[str, dict[str, Any]] = {}
        self._runners: dict[str, dict[str, Any]] = {}

    def subscribe(self, agent: str, listener: Hear) -> None:
        """From the next line on; that one is the whole state."""
        self._listeners.setdefault(agent, {})[listener] = False

    def unsubscribe(self, agent: str, listener: Hear) -> None:
        """Others of the agent hear on."""
        listeners = self._listeners.get(agent, {})
        listeners.pop(listener, None)
        if not listeners:
            self._listeners.pop(agent, None)

    def hear(self, line: dict[str, Any]) -> None:
        """A line of the stream."""
        if line["seq"] == 1:
            self._pools, self._runners = {}, {}
        for name in line["gone"]:
            self._runners.pop(name, None)
        self._pools.update({pool["agent"]: pool for pool in line["pools"]})
        self._runners.update({runner["runner_id"]: runner for runner in line["runners"]})
        pools = {pool["agent"]: [pool] for pool in line["pools"]}
        runners: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for runner in line["runners"]:
            runners[runner["agent"]].append(runner)
        for agent, listeners in list(self._listeners.items()):
            part = {**line, "pools": pools.get(agent, []), "runners": runners.get(agent, [])}
            for listener, has_heard in list(listeners.items()):
                listeners[listener] = True
                listener(part if has_heard else self._all(agent, line))

    def _all(self, agent: str, line: dict[str, Any]) -> dict[str, Any]:
        pool = self._pools.get(agent)
        return {
            **line,
            "seq": 1,
            "pools": [] if pool is None else [pool],
            "runners": [r for r in self._runners.values() if r["agent"] == agent],
        }
